// turnkey/concurrent_map_retire.hpp -- how what was in a concurrent_map ends: entries, tables, all of it. Not for direct use.
//
// What readers may still look at is retired (concurrent_map_reclaim.hpp), and destroyed when nobody can have it any more.
// clear() takes the root away. Those who are still in the old tables do what they do before it, in the order of things.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <turnkey/concurrent_map_engine.hpp>
#include <turnkey/concurrent_map_reclaim.hpp>

namespace turnkey {

template <class Entry, class Hash, class Equal>
inline map_engine<Entry, Hash, Equal>::~map_engine() {
  if (map_table* const table = root_.load(std::memory_order_acquire)) {
    table->is_dropped = true;
    destroy_table(*table, this);
  }
  if constexpr (!Entry::is_flat) {
    for (retired_list& each : nodes_.lists) each.drain(&destroy_node, this);
  }
  tables_.drain(&destroy_table, this);
}

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::clear() {
  map_table* const table = root_.exchange(nullptr, std::memory_order_seq_cst);
  if (table == nullptr) return;
  table->is_dropped = true;
  static_cast<void>(tables_.add(*table));
  tables_.collect(&destroy_table, this);
  if constexpr (!Entry::is_flat) {
    for (retired_list& each : nodes_.lists) each.collect(&destroy_node, this);
  }
}

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::let_go(map_pin& pin, const raw& words, bool& is_due) noexcept {
  if constexpr (!Entry::is_flat) is_due = nodes_.lists[pin.stripe()].add(*Entry::open(words));
}

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::release(map_node_head& node) noexcept {
  // order: acq_rel -- what others did with the node happens before its end.
  if (node.references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_retired(node, &delete_node, nullptr);
}

template <class Entry, class Hash, class Equal>
inline void map_engine<Entry, Hash, Equal>::delete_node(map_retired& thing, void* /*map*/) {
  if constexpr (!Entry::is_flat) {
    typename Entry::deleter()(static_cast<typename Entry::view>(&thing));
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

}  // namespace turnkey
