// turnkey/concurrent_map_update.hpp -- how a concurrent_map has a key changed by somebody's function. Not for direct use.
//
// update() holds the key's lock (map_key_locks) while f runs. See invariant K in src/data/concurrent_map_keys.cpp for how
//   writers know; between the two lies the version of the bucket. f's result is for the generation that f saw: if there was
//   a clear() meanwhile, the update was before it, and there is nothing left to do.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <turnkey/concurrent_map_engine.hpp>
#include <turnkey/concurrent_map_keys.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

template <class Entry, class Hash, class Equal>
template <class F, class Make>
inline bool map_engine<Entry, Hash, Equal>::update(const typename Entry::registered& key, const wait_limit& limit,
                                                   F&& f, Make&& make) {
  const std::uint64_t hash = hash_of(key);
  refuse_reentry(hash, key);
  map_key_locks::lock* const taken = keys_.take(hash, &key, limit);
  if (taken == nullptr) return false;
  const map_key_locks::hold hold(keys_, taken);
  std::optional<value_type> value;
  const std::uint64_t generation = begin_update(key, hash, value);
  std::forward<F>(f)(value);
  std::optional<typename Entry::owned> made;
  const auto decide = [&](const value_type*) { return value.has_value() ? action::put : action::erase; };
  map_maker make_it([&](std::uint64_t) { return make(hash, *std::move(value)); }, [&] { return *value; });
  attempt(key, hash, decide, make_it, made, claim{.has_lock = true, .is_exclusive = true, .generation = generation});
  return true;
}

// With the key's lock held, and a pin: changes the version of its bucket, so that every write that did not see the lock
// fails. Returns the table that the bucket is in, or was a moment ago.
template <class Entry, class Hash, class Equal>
map_table& map_engine<Entry, Hash, Equal>::announce(std::uint64_t hash) {
  map_table* table = root_or_new();
  for (map_backoff backoff;;) {
    bucket& head = bucket_of(*table, hash);
    const std::uint64_t state = head.state.load(std::memory_order_acquire);
    if ((state & map_state::moved) != 0) {
      table = table->next.load(std::memory_order_acquire);
      continue;
    }
    // Locked and unlocked at once. order: seq_cst -- acquire and release: see lock() and unlock(); its release pairs with the
    // writers' loads of the state (invariant K).
    if ((state & map_state::locked) == 0 &&
        head.state.replace(state, state + map_state::version, std::memory_order_seq_cst)) {
      return *table;
    }
    backoff.wait();
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

template <class Entry, class Hash, class Equal>
template <class Q>
inline void map_engine<Entry, Hash, Equal>::refuse_reentry(std::uint64_t hash, const Q& key) {
  for (std::size_t n = 0; const void* const own = keys_.own_key(hash, n); ++n) {
    if (own == map_key_locks::any_key() || equal_(*static_cast<const typename Entry::registered*>(own), key)) {
      map_refuse_reentry();
    }
  }
}

}  // namespace turnkey
