// turnkey/concurrent_map_engine.hpp -- how a concurrent_map reads, writes and grows. Not for direct use.
//
// A table is an array of buckets; the low bits of the hash say which. A bucket has a state word, a tag for each slot, and
// the slots; when they are full, another bucket is chained to it and goes by the state of the first. Once an entry is in
// a slot it stays there until it is erased or the whole bucket moves; a store to the same key overwrites the slot.
//
// A write looks first and locks afterwards. It reads the state, finds its slot, calls whatever of the user's code it needs,
//   and makes what it wants to put there. Then it locks the bucket by a compare-and-swap from the very state that it read:
//   if that succeeds, nothing has changed since. Now it only stores words, and unlocks with the next version. So no code
//   of the user's ever runs under a bucket's lock, and what throws has changed nothing. If the bucket keeps changing - the
//   user's own copy or comparison may do that, every time - it takes the key's lock, as update() does. Then the key's entry
//   cannot change, and it does not matter what else has.
// A read of a flat entry copies the words and then looks whether the state is still what it was, and not locked. If not,
//   it starts again.
// A read of a node never waits and never starts again. What it needs:
//   Invariant T: a slot that is not null has its tag. An insertion writes the tag first, an erasure clears the slot first.
//   Invariant S: a key that is in the table stays in one slot for as long as it is there. So who went through all slots, one
//     after the other, and did not find it, was there at a moment when it was absent.
//
// Growth. The next table has twice the buckets. It hangs on the old one, whose buckets are then moved one by one: locked,
//   its entries copied to the two buckets of the next table that nobody else can reach yet, marked `moved`. Who meets the
//   mark goes on to the next table. Each write moves a few others on its way. A bucket that has been moved never changes
//   again; a reader who is still in it finds what was there at the end, which was true while it read. When all have been
//   moved, the next table becomes the root, and the old one is retired.
// clear() takes the root away. Those who are still in the old tables do what they do before it, in the order of things.
//
// update() holds the key's lock (map_key_locks) while f runs. See invariant K in src/data/concurrent_map_keys.cpp for how
//   writers know; between the two lies the version of the bucket. f's result is for the generation that f saw: if there was
//   a clear() meanwhile, the update was before it, and there is nothing left to do.
//
// order: seq_cst on the root and on the state, where a read begins and a write ends -- each pairs with the other on another
// key: of two who write one key and then read the other's, at least one sees the other. Weaker: neither might.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <turnkey/concurrent_map_entry.hpp>
#include <turnkey/concurrent_map_keys.hpp>
#include <turnkey/concurrent_map_reclaim.hpp>
#include <turnkey/concurrent_map_table.hpp>

namespace turnkey {

// Waits for a bucket to be unlocked: its holder may have been preempted, so give it the CPU.
class map_backoff {
 public:
  void wait() noexcept;

 private:
  int rounds_ = 0;
};

// What an entry is made by.
template <class MakeEntry, class MakeValue>
struct map_maker {
  map_maker(MakeEntry make_entry, MakeValue make_value) : entry(std::move(make_entry)), value(std::move(make_value)) {}
  MakeEntry entry;
  MakeValue value;
};

// Throws: the code of the user that a write has called came back and would write to the same key.
[[noreturn]] void map_refuse_reentry();

template <class Entry, class Hash, class Equal>
class map_engine {
 public:
  using bucket = map_bucket<Entry::words>;
  using raw = typename bucket::raw;
  using value_type = std::remove_cvref_t<decltype(Entry::value(Entry::open(raw{})))>;

  map_engine() = default;
  map_engine(Hash hash, Equal equal) : hash_(std::move(hash)), equal_(std::move(equal)) {}
  map_engine(const map_engine&) = delete;
  map_engine& operator=(const map_engine&) = delete;
  ~map_engine() {
    if (map_table* const table = root_.load(std::memory_order_acquire)) {
      table->is_dropped = true;
      destroy_table(*table, this);
    }
    if constexpr (!Entry::is_flat) {
      for (retired_list& each : nodes_.lists) each.drain(&destroy_node, this);
    }
    tables_.drain(&destroy_table, this);
  }

  // A user's hash may leave most bits alone; buckets and tags need all of them to matter.
  template <class Q>
  [[nodiscard]] std::uint64_t hash_of(const Q& key) const {
    std::uint64_t mixed = static_cast<std::uint64_t>(hash_(key)) * 0x9e3779b97f4a7c15;
    mixed ^= mixed >> 32;
    return mixed;
  }

  // Calls visit(const value_type&) if the key is there.
  template <class Q, class Visit>
  bool read(const Q& key, Visit&& visit) const {
    const std::uint64_t hash = hash_of(key);
    const map_pin pin;
    return read_from(root_.load(std::memory_order_seq_cst), hash, key, visit);
  }

  enum class action { keep, put, erase };

  // One read-modify-write of a key. decide(const value_type* current) -> action; it may be called several times. If it is
  // put, make.entry(hash) -> Entry::owned is called at most once; it may move from `key`: after it, the entry's key counts.
  // Where values are overwritten, make.value() -> value_type may be called instead or as well.
  template <class Q, class Decide, class Make>
  void write(const Q& key, Decide&& decide, Make&& make) {
    const std::uint64_t hash = hash_of(key);
    std::optional<typename Entry::owned> made;
    attempted result = attempt(key, hash, decide, make, made, claim{});
    if (result == attempted::done) return;
    if (made) {
      refuse_reentry(hash, Entry::key(Entry::peek(*made)));
    } else {
      refuse_reentry(hash, key);
    }
    std::optional<map_key_locks::hold> hold;
    if (result == attempted::key_is_locked) {
      hold.emplace(keys_, keys_.take(hash, nullptr));
      result = attempt(key, hash, decide, make, made, claim{.has_lock = true});
      if (result == attempted::done) return;
    }
    const auto insist = [&](const void* name) {
      const map_key_locks::hold exclusive(keys_, keys_.take(hash, name));
      {
        const map_pin pin;
        announce(hash);
      }
      attempt(key, hash, decide, make, made, claim{.has_lock = true, .is_exclusive = true});
    };
    if (made) {
      insist(address_of(Entry::key(Entry::peek(*made))));
    } else if constexpr (std::is_convertible_v<const Q&, typename Entry::registered>) {
      insist(address_of(key));
    } else {
      insist(map_key_locks::any_key());
    }
  }

  // f(std::optional<value_type>&) under the key's lock. `key`: as it is compared, `make(value)` as it is stored.
  template <class F, class Make>
  void update(const typename Entry::registered& key, F&& f, Make&& make) {
    const std::uint64_t hash = hash_of(key);
    refuse_reentry(hash, key);
    const map_key_locks::hold hold(keys_, keys_.take(hash, &key));
    std::optional<value_type> value;
    const std::uint64_t generation = begin_update(key, hash, value);
    std::forward<F>(f)(value);
    std::optional<typename Entry::owned> made;
    const auto decide = [&](const value_type*) { return value.has_value() ? action::put : action::erase; };
    map_maker make_it([&](std::uint64_t) { return make(hash, *std::move(value)); }, [&] { return *value; });
    attempt(key, hash, decide, make_it, made, claim{.has_lock = true, .is_exclusive = true, .generation = generation});
  }

  // visit(Entry::view) -> bool for each entry, with nothing held; see concurrent_map::range.
  template <class Visit>
  void range(Visit&& visit) const;

  void clear() {
    map_table* const table = root_.exchange(nullptr, std::memory_order_seq_cst);
    if (table == nullptr) return;
    table->is_dropped = true;
    static_cast<void>(tables_.add(*table));
    tables_.collect(&destroy_table, this);
    if constexpr (!Entry::is_flat) {
      for (retired_list& each : nodes_.lists) each.collect(&destroy_node, this);
    }
  }

  [[nodiscard]] std::size_t size() const {
    const map_pin pin;
    const map_table* const table = root_.load(std::memory_order_seq_cst);
    return table != nullptr ? table->population->total() : 0;
  }

 private:
  static constexpr std::size_t first_size = 16;
  static constexpr std::size_t stride = 16;  // how many buckets a write moves

  // Where an entry is, and what it was when it was found.
  struct spot {
    bucket* where = nullptr;
    std::size_t slot = 0;
    raw words{};
  };
  enum class scanned { absent, found, torn };

  // What a write may take for granted.
  struct claim {
    bool has_lock = false;         // the key's lock is the caller's: nobody else's update() is at it
    bool is_exclusive = false;     // and that has been announced: nobody else writes to the key
    std::uint64_t generation = 0;  // not 0: write to this one or not at all
  };

  enum class attempted { done, key_is_locked, disturbed };
  static constexpr int patience = 16;  // disturbances

  // A chained bucket that has been made but may not be needed.
  struct bucket_deleter {
    void operator()(bucket* unused) const noexcept { map_table::free_bucket(unused); }
  };
  using spare_bucket = std::unique_ptr<bucket, bucket_deleter>;

  static bucket& bucket_at(const map_table& table, std::uint64_t index) noexcept {
    return static_cast<bucket*>(table.buckets)[index];
  }
  static bucket& bucket_of(const map_table& table, std::uint64_t hash) noexcept {
    return bucket_at(table, hash & table.mask);
  }
  // Locks the bucket in whatever state it is, which it gives; false if it has been moved.
  static bool lock(bucket& head, std::uint64_t& state) noexcept {
    map_backoff backoff;
    for (;; backoff.wait()) {
      state = head.state.load(std::memory_order_acquire);
      if ((state & map_state::moved) != 0) return false;
      // order: acquire -- pairs with the releases that unlock: the bucket as its last writer left it.
      if ((state & map_state::locked) == 0 &&
          head.state.replace(state, state | map_state::locked, std::memory_order_acquire)) {
        return true;
      }
    }
  }
  static void unlock(bucket& head, std::uint64_t state) noexcept {
    // order: seq_cst -- see the top.
    head.state.store(state + map_state::version, std::memory_order_seq_cst);
  }

  template <class Q, class Visit>
  bool read_from(map_table* table, std::uint64_t hash, const Q& key, Visit&& visit) const {
    map_backoff backoff;
    while (table != nullptr) {
      bucket& head = bucket_of(*table, hash);
      if constexpr (Entry::words > 1) __builtin_prefetch(reinterpret_cast<const std::byte*>(&head) + 64);
      const std::uint64_t state = head.state.load(std::memory_order_seq_cst);
      if ((state & map_state::moved) != 0) {
        table = table->next.load(std::memory_order_acquire);
        continue;
      }
      if (!Entry::is_flat || (state & map_state::locked) == 0) {
        spot at;
        const scanned result = scan(head, state, hash, key, at);
        if (result == scanned::found) {
          visit(Entry::value(Entry::open(at.words)));
          return true;
        }
        if (result == scanned::absent) return false;
      }
      backoff.wait();
    }
    return false;
  }

  // Looks for the key in a bucket that had this state. A flat bucket in another state is torn.
  template <class Q>
  scanned scan(bucket& head, std::uint64_t state, std::uint64_t hash, const Q& key, spot& at) const {
    const std::uint64_t tag = bucket::tag_of(hash);
    for (bucket* here = &head; here != nullptr; here = here->chained()) {
      // order: acquire -- pairs with the releases that set tags; what is read next is read later (invariant S).
      std::uint64_t matches = bucket::matches(here->tags.load(std::memory_order_acquire), tag);
      for (; matches != 0; matches &= matches - 1) {
        at.where = here;
        at.slot = bucket::slot_of(matches);
        at.words = here->read(at.slot);
        if (is_torn(head, state)) return scanned::torn;
        if (!Entry::is_flat && at.words[0] == 0) continue;
        if (equal_(Entry::key(Entry::open(at.words)), key)) return scanned::found;
      }
    }
    return is_torn(head, state) ? scanned::torn : scanned::absent;
  }
  // order: relaxed -- the words were read with acquire: if one is newer than `state`, the state is too.
  static bool is_torn(bucket& head, std::uint64_t state) noexcept {
    return Entry::is_flat && head.state.load(std::memory_order_relaxed) != state;
  }

  // The first free slot of a chain; else `where` is its last bucket, `slot` none of its slots, and false.
  static bool find_room(bucket& head, spot& at) noexcept {
    for (bucket* here = &head; here != nullptr; here = here->chained()) {
      at.where = here;
      const std::uint64_t free = ~here->tags.load(std::memory_order_acquire) & bucket::occupied;
      if (free != 0) {
        at.slot = bucket::slot_of(free);
        return true;
      }
    }
    at.slot = bucket::slots;
    return false;
  }

  map_table* root_or_new() {
    map_table* root = root_.load(std::memory_order_seq_cst);
    if (root != nullptr) return root;
    auto population = std::make_unique<map_population>();
    const std::uint64_t generation = generations_.fetch_add(1, std::memory_order_relaxed) + 1;
    map_table* const made = map_table::make(first_size, sizeof(bucket), population.get(), generation);
    if (made == nullptr) throw std::bad_alloc();
    if (root_.compare_exchange_strong(root, made, std::memory_order_seq_cst)) {
      static_cast<void>(population.release());
      return made;
    }
    map_table::free(made);
    return root;
  }

  // Of a temporary too: the caller's expression keeps it.
  static const void* address_of(const typename Entry::registered& key) noexcept { return &key; }
  // Throws if the caller holds this key's lock.
  template <class Q>
  void refuse_reentry(std::uint64_t hash, const Q& key) {
    for (std::size_t n = 0; const void* const own = keys_.own_key(hash, n); ++n) {
      if (own == map_key_locks::any_key() || equal_(*static_cast<const typename Entry::registered*>(own), key)) {
        map_refuse_reentry();
      }
    }
  }
  template <class Q, class Decide, class Make>
  [[gnu::noinline]] attempted attempt(const Q& key, std::uint64_t hash, Decide& decide, Make& make,
                                      std::optional<typename Entry::owned>& made, claim mine);
  map_table& announce(std::uint64_t hash);
  template <class Q>
  std::uint64_t begin_update(const Q& key, std::uint64_t hash, std::optional<value_type>& value);
  void apply(map_table& table, action what, const spot& at, bool was_there, std::uint64_t hash,
             std::optional<typename Entry::owned>& made, spare_bucket& spare) noexcept;

  // --- growth
  void grow_if_crowded(map_table& table) noexcept {
    if (root_.load(std::memory_order_relaxed) != &table || table.next.load(std::memory_order_relaxed) != nullptr)
      return;
    if (table.population->total() < table.size() * bucket::slots * 4 / 5) return;
    map_table* const larger = map_table::make(2 * table.size(), sizeof(bucket), table.population, table.generation);
    map_table* none = nullptr;
    // order: acq_rel -- pairs with the acquires of `next`. Without memory the chains get longer; nothing else.
    if (larger != nullptr && !table.next.compare_exchange_strong(none, larger, std::memory_order_acq_rel)) {
      map_table::free(larger);
    }
  }
  [[nodiscard]] bool help_to_move() noexcept;
  bool move(map_table& from, map_table& to, std::uint64_t index, std::vector<std::uint32_t>& hashes);
  bool read_hashes(bucket& head, std::uint64_t state, std::vector<std::uint32_t>& hashes) const;

  // Fills a bucket that nobody can reach yet, and chains others to it.
  struct filler {
    map_table* table;
    bucket* here;
    std::size_t slot = 0;
    void add(const raw& words, std::uint64_t tag, bucket*& spares) noexcept {
      if (slot == bucket::slots) {
        bucket* const more = spares;
        spares = more->chained();
        more->chain(nullptr);
        table->adopt(more->state);
        here->chain(more);
        here = more;
        slot = 0;
      }
      here->write(slot, words);
      here->tags.store(bucket::with_tag(here->tags.load(std::memory_order_relaxed), slot, tag),
                       std::memory_order_release);
      ++slot;
    }
  };

  // --- the end of things
  void let_go(map_pin& pin, const raw& words, bool& is_due) noexcept {
    if constexpr (!Entry::is_flat) is_due = nodes_.lists[pin.stripe()].add(*Entry::open(words));
  }
  static void release(map_node_head& node) noexcept {
    // order: acq_rel -- what others did with the node happens before its end.
    if (node.references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_retired(node, &delete_node, nullptr);
  }
  static void delete_node(map_retired& thing, void* /*map*/) {
    if constexpr (!Entry::is_flat) {
      typename Entry::deleter()(static_cast<typename Entry::view>(&thing));
    }
  }
  static void destroy_node(map_retired& thing, void* /*map*/) { release(static_cast<map_node_head&>(thing)); }
  static void destroy_table(map_retired& thing, void* map);

  struct no_nodes {};
  struct node_lists {
    std::array<retired_list, map_pin::stripes> lists;
  };

  alignas(64) std::atomic<map_table*> root_{nullptr};
  [[no_unique_address]] Hash hash_;
  [[no_unique_address]] Equal equal_;
  map_key_locks keys_;
  std::atomic<std::uint64_t> generations_{0};
  [[no_unique_address]] std::conditional_t<Entry::is_flat, no_nodes, node_lists> nodes_;
  retired_list tables_;
};

// Tries to write. Not inlined: it is long, and GCC, which sees its other half then, takes an optional that holds something
// for one that does not.
template <class Entry, class Hash, class Equal>
template <class Q, class Decide, class Make>
auto map_engine<Entry, Hash, Equal>::attempt(const Q& key, std::uint64_t hash, Decide& decide, Make& make,
                                             std::optional<typename Entry::owned>& made, claim mine) -> attempted {
  bool is_due = false;
  std::optional<map_pin> pin(std::in_place);
  spare_bucket spare;
  map_backoff backoff;
  int disturbances = 0;
  map_table* table = root_.load(std::memory_order_seq_cst);
  if (mine.generation != 0 && (table == nullptr || table->generation != mine.generation)) return attempted::done;
  for (;;) {
    if (table == nullptr) {
      if (decide(static_cast<const value_type*>(nullptr)) != action::put) return attempted::done;
      table = root_or_new();
    }
    bucket& head = bucket_of(*table, hash);
    std::uint64_t state = head.state.load(std::memory_order_seq_cst);
    if ((state & map_state::moved) != 0) {
      table = table->next.load(std::memory_order_acquire);
      continue;
    }
    spot at;
    scanned result = scanned::torn;
    if ((state & map_state::locked) == 0) {
      result = made ? scan(head, state, hash, Entry::key(Entry::peek(*made)), at) : scan(head, state, hash, key, at);
    }
    if (result == scanned::torn) {
      backoff.wait();
      continue;
    }
    const bool was_there = result == scanned::found;
    action what = action::keep;
    if (was_there) {
      auto&& current = Entry::open(at.words);
      const value_type& value = Entry::value(current);
      what = decide(&value);
    } else {
      what = decide(static_cast<const value_type*>(nullptr));
    }
    if (what == action::keep || (what == action::erase && !was_there)) return attempted::done;
    if (!mine.has_lock && keys_.is_busy(hash)) return attempted::key_is_locked;
    [[maybe_unused]] std::conditional_t<Entry::is_overwritten, std::optional<value_type>, char> plain{};
    if (what == action::put) {
      if constexpr (Entry::is_overwritten) {
        if (was_there) plain = make.value();
      }
      if (!made && !(Entry::is_overwritten && was_there)) made.emplace(make.entry(hash));
    }
    if (!was_there && !find_room(head, at) && !spare) {
      spare.reset(static_cast<bucket*>(map_table::make_bucket(sizeof(bucket))));
      if (!spare) throw std::bad_alloc();
    }
    if (mine.is_exclusive) {
      if (!lock(head, state)) continue;
      // The key is where it was, if it was there. But the free slot may be free no more.
      if (!was_there && !find_room(head, at) && !spare) {
        head.state.store(state, std::memory_order_release);
        continue;
      }
      // order: acquire -- pairs with the seq_cst of unlock(): the bucket as its last writer left it.
    } else if (!head.state.replace(state, state | map_state::locked, std::memory_order_acquire)) {
      if (++disturbances > patience) return attempted::disturbed;
      continue;
    }
    // From here on nothing throws.
    const bool uses_spare = !was_there && at.slot == bucket::slots;
    const bool is_overwritten = Entry::is_overwritten && was_there && what == action::put;
    if constexpr (Entry::is_overwritten) {
      if (is_overwritten) Entry::overwrite(Entry::open(at.words), *plain);
    }
    if (!is_overwritten) apply(*table, what, at, was_there, hash, made, spare);
    unlock(head, state);
    if (was_there && !is_overwritten) let_go(*pin, at.words, is_due);
    if (what == action::erase || !was_there) {
      const std::int64_t count = table->population->add(pin->stripe(), was_there ? -1 : 1);
      if (!was_there && (uses_spare || count % 64 == 0)) grow_if_crowded(*table);
    }
    const bool has_finished = help_to_move();
    const std::size_t stripe = pin->stripe();
    pin.reset();
    if constexpr (!Entry::is_flat) {
      if (is_due) {
        nodes_.lists[stripe].collect(&destroy_node, this);
        // And for those who do not come any more.
        for (retired_list& each : nodes_.lists) {
          if (each.is_full()) each.collect(&destroy_node, this);
        }
      }
    }
    if (has_finished || tables_.is_due()) tables_.collect(&destroy_table, this);
    return attempted::done;
  }
}

// Under the bucket's lock: does what was decided.
template <class Entry, class Hash, class Equal>
void map_engine<Entry, Hash, Equal>::apply(map_table& table, action what, const spot& at, bool was_there,
                                           std::uint64_t hash, std::optional<typename Entry::owned>& made,
                                           spare_bucket& spare) noexcept {
  if (what == action::put && was_there) {
    at.where->write(at.slot, Entry::publish(*made));
    return;
  }
  if (at.slot == bucket::slots) {
    spare->write(0, Entry::publish(*made));
    spare->tags.store(bucket::with_tag(0, 0, bucket::tag_of(hash)), std::memory_order_release);
    table.adopt(spare->state);
    at.where->chain(spare.release());
    return;
  }
  map_word& tags = at.where->tags;
  const std::uint64_t before = tags.load(std::memory_order_relaxed);
  // order: release -- pairs with the acquire in scan(); for the order of the two stores see invariant T.
  if (what == action::put) {
    tags.store(bucket::with_tag(before, at.slot, bucket::tag_of(hash)), std::memory_order_release);
    at.where->write(at.slot, Entry::publish(*made));
  } else {
    at.where->write(at.slot, raw{});
    tags.store(bucket::with_tag(before, at.slot, 0), std::memory_order_release);
  }
}

// With the key's lock held, and a pin: changes the version of its bucket, so that every write that did not see the lock
// fails. Returns the table that the bucket is in, or was a moment ago.
template <class Entry, class Hash, class Equal>
map_table& map_engine<Entry, Hash, Equal>::announce(std::uint64_t hash) {
  map_table* table = root_or_new();
  for (;;) {
    bucket& head = bucket_of(*table, hash);
    std::uint64_t state = 0;
    if (lock(head, state)) {
      // order: seq_cst -- its release pairs with the writers' loads of the state (invariant K).
      unlock(head, state);
      return *table;
    }
    table = table->next.load(std::memory_order_acquire);
  }
}

// With the key's lock held: announces it, and reads the value. Returns the generation in which that is so.
template <class Entry, class Hash, class Equal>
template <class Q>
std::uint64_t map_engine<Entry, Hash, Equal>::begin_update(const Q& key, std::uint64_t hash,
                                                           std::optional<value_type>& value) {
  const map_pin pin;
  map_table& table = announce(hash);
  read_from(&table, hash, key, [&](const value_type& current) { value.emplace(current); });
  return table.generation;
}

// Moves a few buckets of the root, if it is being moved. True if that was the last: the old table is retired.
template <class Entry, class Hash, class Equal>
bool map_engine<Entry, Hash, Equal>::help_to_move() noexcept {
  map_table* const from = root_.load(std::memory_order_acquire);
  map_table* const to = from != nullptr ? from->next.load(std::memory_order_acquire) : nullptr;
  if (to == nullptr) [[likely]]
    return false;
  // The cursor goes round, so that a bucket which could not be moved for want of memory gets another chance.
  const std::size_t first = from->cursor.fetch_add(stride, std::memory_order_relaxed);
  std::size_t done = 0;
  try {
    std::vector<std::uint32_t> hashes;
    for (std::size_t i = first; i < first + stride; ++i) {
      if (move(*from, *to, i & from->mask, hashes)) ++done;
    }
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): somebody will come back to it
  }
  // order: acq_rel -- whoever moved the last has seen all others moved.
  if (done == 0 || from->moved.fetch_add(done, std::memory_order_acq_rel) + done != from->size()) return false;
  map_table* expected = from;
  if (!root_.compare_exchange_strong(expected, to, std::memory_order_seq_cst)) return false;  // clear() has it
  static_cast<void>(tables_.add(*from));
  return true;
}

// The hashes of a chain's entries, in order; false if its state has changed.
template <class Entry, class Hash, class Equal>
bool map_engine<Entry, Hash, Equal>::read_hashes(bucket& head, std::uint64_t state,
                                                 std::vector<std::uint32_t>& hashes) const {
  hashes.clear();
  for (bucket* here = &head; here != nullptr; here = here->chained()) {
    std::uint64_t occupied = here->tags.load(std::memory_order_acquire) & bucket::occupied;
    for (; occupied != 0; occupied &= occupied - 1) {
      const raw words = here->read(bucket::slot_of(occupied));
      if (is_torn(head, state) || (!Entry::is_flat && words[0] == 0)) return false;
      if constexpr (Entry::is_flat) {
        hashes.push_back(static_cast<std::uint32_t>(hash_of(Entry::key(Entry::open(words)))));
      } else {
        hashes.push_back(Entry::open(words)->hash);
      }
    }
  }
  return true;
}

// Moves one bucket to the next table; false if somebody else has. Throws std::bad_alloc before anything has changed.
template <class Entry, class Hash, class Equal>
bool map_engine<Entry, Hash, Equal>::move(map_table& from, map_table& to, std::uint64_t index,
                                          std::vector<std::uint32_t>& hashes) {
  bucket& head = bucket_at(from, index);
  map_backoff backoff;
  struct spare_chain {
    bucket* first = nullptr;
    std::size_t count = 0;
    ~spare_chain() {
      while (bucket* const each = first) {
        first = each->chained();
        map_table::free_bucket(each);
      }
    }
  } spares;
  for (;;) {
    const std::uint64_t state = head.state.load(std::memory_order_acquire);
    if ((state & map_state::moved) != 0) return false;
    if ((state & map_state::locked) != 0 || !read_hashes(head, state, hashes)) {
      backoff.wait();
      continue;
    }
    for (; spares.count < hashes.size() / bucket::slots; ++spares.count) {
      auto* const spare = static_cast<bucket*>(map_table::make_bucket(sizeof(bucket)));
      if (spare == nullptr) throw std::bad_alloc();
      spare->chain(spares.first);
      spares.first = spare;
    }
    // order: acquire -- pairs with unlock().
    if (!head.state.replace(state, state | map_state::locked, std::memory_order_acquire)) continue;
    std::array<filler, 2> halves{filler{&to, &bucket_at(to, index)}, filler{&to, &bucket_at(to, index + from.size())}};
    const std::uint32_t* hash = hashes.data();
    for (bucket* here = &head; here != nullptr; here = here->chained()) {
      const std::uint64_t tags = here->tags.load(std::memory_order_relaxed);
      for (std::uint64_t occupied = tags & bucket::occupied; occupied != 0; occupied &= occupied - 1) {
        const std::size_t slot = bucket::slot_of(occupied);
        const bool is_upper = (*hash++ & from.size()) != 0;
        halves[is_upper ? 1 : 0].add(here->read(slot), tags >> (8 * slot) & 0xff, spares.first);
      }
    }
    // order: seq_cst -- pairs with every load of the state: the next table's buckets are filled.
    head.state.store(state | map_state::moved, std::memory_order_seq_cst);
    return true;
  }
}

// The end of a table: one that has been moved, or all that a clear() took away.
template <class Entry, class Hash, class Equal>
void map_engine<Entry, Hash, Equal>::destroy_table(map_retired& thing, void* /*map*/) {
  auto* table = static_cast<map_table*>(&thing);
  if (!table->is_dropped) {
    map_table::free(table);
    return;
  }
  delete table->population;
  while (table != nullptr) {
    for (std::uint64_t i = 0; !Entry::is_flat && i <= table->mask; ++i) {
      bucket& head = bucket_at(*table, i);
      if ((head.state.load(std::memory_order_acquire) & map_state::moved) != 0) continue;
      for (bucket* here = &head; here != nullptr; here = here->chained()) {
        for (std::size_t slot = 0; slot < bucket::slots; ++slot) {
          if constexpr (!Entry::is_flat) {
            const raw words = here->read(slot);
            if (words[0] != 0) release(*Entry::open(words));
          }
        }
      }
    }
    map_table* const next = table->next.load(std::memory_order_acquire);
    map_table::free(table);
    table = next;
  }
}

// Goes from family to family: those keys whose hashes have the same low bits, as many as chose a bucket in the table that
// was the root at the start. A key never leaves its family, however often the table grows or is cleared meanwhile, so none
// is met twice. A family's entries are taken with their buckets locked, one after the other; nothing is held while visit()
// runs except a reference to each node.
template <class Entry, class Hash, class Equal>
template <class Visit>
void map_engine<Entry, Hash, Equal>::range(Visit&& visit) const {
  struct family {
    std::array<raw, 32> first;
    std::vector<raw> more;
    std::size_t count = 0;
    std::size_t visited = 0;
    ~family() { forget(); }
    [[nodiscard]] std::size_t room() const noexcept { return first.size() + more.capacity() - count; }
    const raw& at(std::size_t i) const noexcept { return i < first.size() ? first[i] : more[i - first.size()]; }
    void add(const raw& words) noexcept {
      if constexpr (!Entry::is_flat) Entry::open(words)->references.fetch_add(1, std::memory_order_relaxed);
      if (count < first.size()) {
        first[count] = words;
      } else {
        more.push_back(words);  // there is room
      }
      ++count;
    }
    void forget() noexcept {
      if constexpr (!Entry::is_flat) {
        for (std::size_t i = 0; i < count; ++i) release(*Entry::open(at(i)));
      }
      more.clear();
      count = 0;
    }
    // Takes all entries of a bucket, wherever they are by now.
    void take(map_table& table, std::uint64_t index) {
      bucket& head = bucket_at(table, index);
      map_backoff backoff;
      for (;;) {
        const std::uint64_t state = head.state.load(std::memory_order_seq_cst);
        if ((state & map_state::moved) != 0) {
          map_table& next = *table.next.load(std::memory_order_acquire);
          take(next, index);
          take(next, index + table.size());
          return;
        }
        std::size_t length = 0;
        for (bucket* here = &head; here != nullptr; here = here->chained()) length += bucket::slots;
        if (length > room()) more.reserve(more.size() + length);
        // order: acquire -- as in attempt(). The version stays: nothing changes.
        if ((state & map_state::locked) != 0 ||
            !head.state.replace(state, state | map_state::locked, std::memory_order_acquire)) {
          backoff.wait();
          continue;
        }
        for (bucket* here = &head; here != nullptr; here = here->chained()) {
          std::uint64_t occupied = here->tags.load(std::memory_order_relaxed) & bucket::occupied;
          for (; occupied != 0; occupied &= occupied - 1) add(here->read(bucket::slot_of(occupied)));
        }
        // order: release -- pairs with the acquires that lock.
        head.state.store(state, std::memory_order_release);
        return;
      }
    }
  } taken;

  std::uint64_t families = 0;
  for (std::uint64_t which = 0; which == 0 || which < families; ++which) {
    {
      const map_pin pin;
      map_table* const table = root_.load(std::memory_order_seq_cst);
      if (table == nullptr) return;
      if (families == 0) families = table->size();
      for (std::uint64_t i = which & table->mask; i < table->size(); i += families) taken.take(*table, i);
    }
    for (std::size_t i = 0; i < taken.count; ++i) {
      auto&& entry = Entry::open(taken.at(i));
      std::uint64_t hash = 0;
      if constexpr (Entry::is_flat) {
        hash = hash_of(Entry::key(entry));
      } else {
        hash = entry->hash;
      }
      if ((hash & (families - 1)) == which && !visit(entry)) return;
    }
    taken.forget();
  }
}

}  // namespace turnkey
