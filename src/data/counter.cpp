// turnkey::counter: one cell in each OS thread's block of cells, and a sum over them.
//
// cell_ is the number of the cell, 0 until the first add(). It changes once, from 0. A cell's only writer is the thread
// that has the block, so adding is a load and a store, and needs no read-modify-write. Whoever gets no cell (65,535
// counters are in use, or the thread's block could not be had) adds to shared_.
//
// A number that is given back has 0 in every block: the destructor cleans up, when nobody adds any more.
#include <turnkey/counter.hpp>

#include "data/thread_cells.hpp"
#include "platform/id_pool.hpp"

namespace turnkey {

using data::thread_cells;

namespace {
constinit platform::id_pool<thread_cells::counters> cells;
}  // namespace

// Not inlined, not even by a link-time optimiser: reads a thread-local that a caller's park may change.
[[gnu::noinline]] void counter::add(std::int64_t n) noexcept {
  // order: acquire -- pairs with the release in add_slow(): the cell is seen as clean as its last owner left it.
  const std::uint32_t cell = cell_.load(std::memory_order_acquire);
  thread_cells* const block = data::current_cells;
  if (cell == 0 || block == nullptr) [[unlikely]] {
    add_slow(n);
    return;
  }
  auto& count = block->counts[cell];
  // Nobody else writes it, so nothing can come between.
  count.store(count.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(n), std::memory_order_relaxed);
}

[[gnu::noinline]] void counter::add_slow(std::int64_t n) noexcept {
  if (cell_.load(std::memory_order_relaxed) == 0) {
    if (const std::uint32_t mine = cells.take(); mine != 0) {
      std::uint32_t none = 0;
      // order: release -- pairs with the acquire in add().
      if (!cell_.compare_exchange_strong(none, mine, std::memory_order_release, std::memory_order_relaxed)) {
        cells.give(mine);
      }
    }
  }
  // This once, even if there is a cell by now: the next add() finds it.
  static_cast<void>(data::cells_of_this_thread());
  shared_.fetch_add(static_cast<std::uint64_t>(n), std::memory_order_relaxed);
}

std::int64_t counter::load() const noexcept {
  std::uint64_t sum = shared_.load(std::memory_order_relaxed);
  // order: acquire -- pairs with the release in add_slow(), as in add().
  const std::uint32_t cell = cell_.load(std::memory_order_acquire);
  if (cell != 0) {
    for (thread_cells* block = thread_cells::all(); block != nullptr; block = block->next) {
      sum += block->counts[cell].load(std::memory_order_relaxed);
    }
  }
  return static_cast<std::int64_t>(sum);
}

counter::~counter() {
  const std::uint32_t cell = cell_.load(std::memory_order_acquire);
  if (cell == 0) return;
  for (thread_cells* block = thread_cells::all(); block != nullptr; block = block->next) {
    // Not all blocks have a page there; a look at one that has none makes none.
    auto& count = block->counts[cell];
    if (count.load(std::memory_order_relaxed) != 0) count.store(0, std::memory_order_relaxed);
  }
  cells.give(cell);
}

}  // namespace turnkey
