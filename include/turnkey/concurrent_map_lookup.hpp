// turnkey/concurrent_map_lookup.hpp -- how a concurrent_map finds a key. Not for direct use.
//
// A read of a flat entry copies the words and then looks whether the state is still what it was, and not locked. If not,
//   it starts again.
// A read of a node never waits and never starts again. What it needs:
//   Invariant T: a slot that is not null has its tag. An insertion writes the tag first, an erasure clears the slot first.
//   Invariant S: a key that is in the table stays in one slot for as long as it is there. So who went through all slots, one
//     after the other, and did not find it, was there at a moment when it was absent.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <turnkey/concurrent_map_engine.hpp>

namespace turnkey {

template <class Entry, class Hash, class Equal>
template <class Q, class Visit>
inline bool map_engine<Entry, Hash, Equal>::read(const Q& key, Visit&& visit) const {
  const std::uint64_t hash = hash_of(key);
  const map_pin pin;
  return read_from(root_.load(std::memory_order_seq_cst), hash, key, visit);
}

template <class Entry, class Hash, class Equal>
template <class Q, class Visit>
inline bool map_engine<Entry, Hash, Equal>::read_from(map_table* table, std::uint64_t hash, const Q& key,
                                                      Visit&& visit) const {
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

template <class Entry, class Hash, class Equal>
template <class Q>
inline auto map_engine<Entry, Hash, Equal>::scan(bucket& head, std::uint64_t state, std::uint64_t hash, const Q& key,
                                                 spot& at) const -> scanned {
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
template <class Entry, class Hash, class Equal>
inline bool map_engine<Entry, Hash, Equal>::is_torn(bucket& head, std::uint64_t state) noexcept {
  return Entry::is_flat && head.state.load(std::memory_order_relaxed) != state;
}

template <class Entry, class Hash, class Equal>
inline bool map_engine<Entry, Hash, Equal>::find_room(bucket& head, spot& at) noexcept {
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

}  // namespace turnkey
