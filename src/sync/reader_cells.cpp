#include "sync/reader_cells.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "platform/id_pool.hpp"
#include "platform/raw_lock.hpp"
#include "platform/rseq.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey {

constinit std::uint32_t reader_cells::cpus = 0;

namespace {

static_assert(reader_cells::most_locks * sizeof(std::uint32_t) == platform::per_cpu_stride);
static_assert(platform::per_cpu_stride % platform::page_size == 0);

constinit platform::id_pool<reader_cells::most_locks> places;
constinit std::atomic<std::uint32_t*> cells_of_cpu_0{nullptr};

std::atomic_ref<std::uint32_t> cell_of_cpu(std::uint32_t* cells, std::size_t cpu) noexcept {
  return std::atomic_ref(cells[cpu * (platform::per_cpu_stride / sizeof *cells)]);
}

// Null if there is no memory.
std::uint32_t* all_cells() noexcept {
  static constinit platform::raw_lock exclusive;
  // order: acquire -- pairs with the release below: cpus is set.
  std::uint32_t* all = cells_of_cpu_0.load(std::memory_order_acquire);
  if (all != nullptr) return all;
  exclusive.lock();
  all = cells_of_cpu_0.load(std::memory_order_relaxed);
  if (all == nullptr) {
    // A CPU that is not among them, should there be one, counts in the word.
    const auto count = static_cast<std::uint32_t>(std::clamp(sysconf(_SC_NPROCESSORS_CONF), 1L, 1L << 16));
    all = static_cast<std::uint32_t*>(platform::map_memory(count * platform::per_cpu_stride, platform::pages::small));
    if (all != nullptr) {
      reader_cells::cpus = count;
      cells_of_cpu_0.store(all, std::memory_order_release);
    }
  }
  exclusive.unlock();
  return all;
}

}  // namespace

std::uint32_t* reader_cells::take() noexcept {
  std::uint32_t* const all = all_cells();
  if (all == nullptr) return nullptr;
  const std::uint32_t place = places.take();
  return place != 0 ? all + place : nullptr;
}

std::uint32_t reader_cells::sum_and_give_back(std::uint32_t* cells) noexcept {
  std::uint32_t sum = 0;
  for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
    const auto cell = cell_of_cpu(cells, cpu);
    // order: acquire -- pairs with the release of restartable_add: what a reader that has gone did comes before.
    const std::uint32_t count = cell.load(std::memory_order_acquire);
    sum += count;
    if (count != 0) cell.store(0, std::memory_order_relaxed);  // seen by the next that take() them: id_pool orders that
  }
  places.give(static_cast<std::uint32_t>(cells - cells_of_cpu_0.load(std::memory_order_relaxed)));
  return sum;
}

}  // namespace turnkey
