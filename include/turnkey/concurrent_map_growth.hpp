// turnkey/concurrent_map_growth.hpp -- how a concurrent_map's tables grow. Not for direct use.
//
// The next table has twice the buckets. It hangs on the old one, whose buckets are then moved one by one: locked, its
//   entries copied to the two buckets of the next table that nobody else can reach yet, marked `moved`. Who meets the mark
//   goes on to the next table. Each write moves a few others on its way. A bucket that has been moved never changes again; a
//   reader who is still in it finds what was there at the end, which was true while it read. When all have been moved, the
//   next table becomes the root, and the old one is retired.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <turnkey/concurrent_map_engine.hpp>

namespace turnkey {

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::grow_if_crowded(map_table& table) noexcept {
  if (root_.load(std::memory_order_relaxed) != &table || table.next.load(std::memory_order_relaxed) != nullptr) return;
  if (table.population->total() < table.size() * bucket::slots * 4 / 5) return;
  map_table* const larger = map_table::make(2 * table.size(), sizeof(bucket), table.population, table.generation);
  map_table* none = nullptr;
  // order: acq_rel -- pairs with the acquires of `next`. Without memory the chains get longer; nothing else.
  if (larger != nullptr && !table.next.compare_exchange_strong(none, larger, std::memory_order_acq_rel)) {
    map_table::free(larger);
  }
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
  } catch (const std::bad_alloc&) {  // somebody will come back to it
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

// Fills a bucket that nobody can reach yet, and chains others to it.
template <class Entry, class Hash, class Equal>
struct map_engine<Entry, Hash, Equal>::filler {
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

}  // namespace turnkey
