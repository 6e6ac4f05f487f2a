// turnkey/concurrent_map_write.hpp -- how a concurrent_map changes a key. Not for direct use.
//
// A write looks first and locks afterwards. It reads the state, finds its slot, calls whatever of the user's code it needs,
//   and makes what it wants to put there. Then it locks the bucket by a compare-and-swap from the very state that it read:
//   if that succeeds, nothing has changed since. Now it only stores words, and unlocks with the next version. So no code
//   of the user's ever runs under a bucket's lock, and what throws has changed nothing. If the bucket keeps changing - the
//   user's own copy or comparison may do that, every time - it takes the key's lock, as update() does. Then the key's entry
//   cannot change, and it does not matter what else has.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <turnkey/concurrent_map_engine.hpp>
#include <turnkey/concurrent_map_keys.hpp>

namespace turnkey {

template <class Entry, class Hash, class Equal>
template <class Q, class Decide, class Make>
inline void map_engine<Entry, Hash, Equal>::write(const Q& key, Decide&& decide, Make&& make) {
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
  // order: release -- pairs with the acquire in scan(); for the order of the two stores see invariant T
  // in concurrent_map_lookup.hpp.
  if (what == action::put) {
    tags.store(bucket::with_tag(before, at.slot, bucket::tag_of(hash)), std::memory_order_release);
    at.where->write(at.slot, Entry::publish(*made));
  } else {
    at.where->write(at.slot, raw{});
    tags.store(bucket::with_tag(before, at.slot, 0), std::memory_order_release);
  }
}

template <class Entry, class Hash, class Equal>
inline map_table* map_engine<Entry, Hash, Equal>::root_or_new() {
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

template <class Entry, class Hash, class Equal>
inline bool map_engine<Entry, Hash, Equal>::lock(bucket& head, std::uint64_t& state) noexcept {
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

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::unlock(bucket& head, std::uint64_t state) noexcept {
  // order: seq_cst -- see the top of concurrent_map_engine.hpp.
  head.state.store(state + map_state::version, std::memory_order_seq_cst);
}

}  // namespace turnkey
