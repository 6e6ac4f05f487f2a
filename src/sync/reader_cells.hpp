// Where the readers of spread rw_mutexes are counted: a cell for each lock on each CPU. See "Spread and armed" in
// sync/lock_core.hpp.
//
// One page for each CPU, with a cell for each of the locks that are spread at a time. So a CPU's cells share its cache lines
// with each other, and with no other CPU's. The memory is mapped when the first lock is spread, and stays.
#pragma once

#include <cstdint>

namespace turnkey {

struct reader_cells {
  static constexpr std::uint32_t most_locks = 1024;

  // CPUs that have cells: 0, and no sequence adds to any, until the first take().
  [[gnu::visibility("hidden")]] static std::uint32_t cpus;

  // The cell of CPU 0 of some that nobody has, all of them 0; null if there is no room. The others are
  // platform::per_cpu_stride apart.
  static std::uint32_t* take() noexcept;
  // The sum of the cells, modulo 2^32, which are given back. Nobody may be adding to them.
  static std::uint32_t sum_and_give_back(std::uint32_t* cells) noexcept;
};

}  // namespace turnkey
