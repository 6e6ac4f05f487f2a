// turnkey/concurrent_map_engine.hpp -- what a concurrent_map consists of. Not for direct use. What is declared here is defined
// in concurrent_map_lookup, _write, _update, _growth, _retire and _range.hpp, each with its part of the protocol. (They say
// `inline` where GCC should take a larger function into its callers than it takes of templates that do not.)
//
// A table is an array of buckets; the low bits of the hash say which. A bucket has a state word, a tag for each slot, and
// the slots; when they are full, another bucket is chained to it and goes by the state of the first. Once an entry is in
// a slot it stays there until it is erased or the whole bucket moves; a store to the same key overwrites the slot.
//
// order: seq_cst on the root and on the state, where a read begins and a write ends -- each pairs with the other on another
// key: of two who write one key and then read the other's, at least one sees the other. Weaker: neither might.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <turnkey/concurrent_map_entry.hpp>
#include <turnkey/concurrent_map_keys.hpp>
#include <turnkey/concurrent_map_reclaim.hpp>
#include <turnkey/concurrent_map_table.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// What an entry is made by.
template <class MakeEntry, class MakeValue>
struct map_maker {
  map_maker(MakeEntry make_entry, MakeValue make_value) : entry(std::move(make_entry)), value(std::move(make_value)) {}
  MakeEntry entry;
  MakeValue value;
};

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
  ~map_engine();

  // A user's hash may leave most bits alone; buckets and tags need all of them to matter.
  template <class Q>
  [[nodiscard]] std::uint64_t hash_of(const Q& key) const {
    std::uint64_t mixed = static_cast<std::uint64_t>(hash_(key)) * 0x9e3779b97f4a7c15;
    mixed ^= mixed >> 32;
    return mixed;
  }

  // Calls visit(const value_type&) if the key is there.
  template <class Q, class Visit>
  bool read(const Q& key, Visit&& visit) const;

  enum class action { keep, put, erase };

  // One read-modify-write of a key. decide(const value_type* current) -> action; it may be called several times. If it is
  // put, make.entry(hash) -> Entry::owned is called at most once; it may move from `key`: after it, the entry's key counts.
  // Where values are overwritten, make.value() -> value_type may be called instead or as well.
  template <class Q, class Decide, class Make>
  void write(const Q& key, Decide&& decide, Make&& make);

  // f(std::optional<value_type>&) under the key's lock, if that is had within the limit; whether it was. `key`: as it is
  // compared, `make(value)` as it is stored.
  template <class F, class Make>
  bool update(const typename Entry::registered& key, const wait_limit& limit, F&& f, Make&& make);

  // visit(Entry::view) -> bool for each entry, with nothing held; see concurrent_map::range.
  template <class Visit>
  void range(Visit&& visit) const;

  void clear();

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

  // --- looking: concurrent_map_lookup.hpp
  template <class Q, class Visit>
  bool read_from(map_table* table, std::uint64_t hash, const Q& key, Visit&& visit) const;
  // Looks for the key in a bucket that had this state. A flat bucket in another state is torn.
  template <class Q>
  scanned scan(bucket& head, std::uint64_t state, std::uint64_t hash, const Q& key, spot& at) const;
  static bool is_torn(bucket& head, std::uint64_t state) noexcept;
  // The first free slot of a chain; else `where` is its last bucket, `slot` none of its slots, and false.
  static bool find_room(bucket& head, spot& at) noexcept;

  // --- writing: concurrent_map_write.hpp
  template <class Q, class Decide, class Make>
  [[gnu::noinline]] attempted attempt(const Q& key, std::uint64_t hash, Decide& decide, Make& make,
                                      std::optional<typename Entry::owned>& made, claim mine);
  void apply(map_table& table, action what, const spot& at, bool was_there, std::uint64_t hash,
             std::optional<typename Entry::owned>& made, spare_bucket& spare) noexcept;
  map_table* root_or_new();
  // Locks the bucket in whatever state it is, which it gives; false if it has been moved.
  static bool lock(bucket& head, std::uint64_t& state) noexcept;
  static void unlock(bucket& head, std::uint64_t state) noexcept;

  // --- with the key's lock: concurrent_map_update.hpp
  map_table& announce(std::uint64_t hash);
  template <class Q>
  std::uint64_t begin_update(const Q& key, std::uint64_t hash, std::optional<value_type>& value);
  // Throws if the caller holds this key's lock.
  template <class Q>
  void refuse_reentry(std::uint64_t hash, const Q& key);
  // Of a temporary too: the caller's expression keeps it.
  static const void* address_of(const typename Entry::registered& key) noexcept { return &key; }

  // --- growing: concurrent_map_growth.hpp
  void grow_if_crowded(map_table& table) noexcept;
  [[nodiscard]] bool help_to_move() noexcept;
  bool move(map_table& from, map_table& to, std::uint64_t index, std::vector<std::uint32_t>& hashes);
  bool read_hashes(bucket& head, std::uint64_t state, std::vector<std::uint32_t>& hashes) const;
  struct filler;

  // --- ending: concurrent_map_retire.hpp
  void let_go(map_pin& pin, const raw& words, bool& is_due) noexcept;
  static void release(map_node_head& node) noexcept;
  static void delete_node(map_retired& thing, void* map);
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

}  // namespace turnkey
