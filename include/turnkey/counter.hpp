// turnkey/counter.hpp -- a number that many add to and few read: requests, errors, bytes.
//
//   turnkey::counter requests;
//   ++requests;                        // from anywhere, as often as you like
//   log(requests.load());
//
// Go: nothing like it (an atomic.Int64, whose line every core fights for). std: a std::atomic<std::int64_t> for statistics.
//
// Guarantees
//   Nothing is lost: a load() that is ordered after a number of add()s (by a wait_group, a mutex, a join) includes them all.
//     One that runs beside them includes some. If nothing negative is added, load() does not go back for whoever reads it.
//   Order: none. Neither add() nor load() publishes anything else.
//   Cost: add() is a few plain instructions on memory that only this OS thread writes; load() reads 8 bytes for each OS
//     thread there has been at once. 16 bytes, and 8 for each thread that adds. constexpr constructor, no allocation by it.
//     Only the first 65,535 at once have such memory: each add() to one beyond is an atomic read-modify-write.
//   Lifetime: may be destroyed as soon as the last call on it has returned.
// The sum is kept modulo 2^64. add() is not for signal handlers: one that interrupts an add() may undo it.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey {

// All members may be called from goroutines and OS threads, at any time, concurrently.
class counter {
 public:
  constexpr counter() noexcept = default;
  ~counter();
  counter(const counter&) = delete;             // cannot be copied: nobody would add to the copy
  counter& operator=(const counter&) = delete;  // cannot be copied

  // Adds n, which may be negative; ++ adds 1. Never blocks. Go: Add, without what it returns.
  void add(std::int64_t n) noexcept;
  void operator++() noexcept { add(1); }
  void operator++(int) noexcept { add(1); }  // the value before is not known, so there is none to return

  // The sum of what was added. Never blocks. Go: Load.
  [[nodiscard]] std::int64_t load() const noexcept;

 private:
  void add_slow(std::int64_t n) noexcept;

  std::atomic<std::uint32_t> cell_{0};    // which of each thread's cells is ours; see src/data/counter.cpp
  std::atomic<std::uint64_t> shared_{0};  // what was added while there was no cell
};

}  // namespace turnkey
