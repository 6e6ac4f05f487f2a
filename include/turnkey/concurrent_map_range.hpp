// turnkey/concurrent_map_range.hpp -- how a concurrent_map is gone through. Not for direct use.
//
// Goes from family to family: those keys whose hashes have the same low bits, as many as chose a bucket in the table that
// was the root at the start. A key never leaves its family, however often the table grows or is cleared meanwhile, so none
// is met twice. A family's entries are taken with their buckets locked, one after the other; nothing is held while visit()
// runs except a reference to each node.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <turnkey/concurrent_map_engine.hpp>

namespace turnkey {

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
