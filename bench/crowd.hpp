// Threads or goroutines that do as they like for a fixed time, and how much they got done.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>

#include "bench.hpp"

namespace bench {

constexpr std::uint64_t first_random = 0x9e3779b97f4a7c15U;

// The random number after this one, which must not be 0: a few shifts, the same in every language.
inline std::uint64_t next_random(std::uint64_t& random) {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return random;
}

// Millions of calls of `operate` a second, by so many members of the Group. It is given a random number, and what it returns
// is used.
template <class Group, class F>
sample throughput(int members, std::chrono::milliseconds duration, F operate) {
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> calls{0};
  Group all;
  const auto start = clock::now();
  for (int i = 0; i < members; ++i) {
    all.go([&, i] {
      if constexpr (std::is_same_v<Group, thread_group>) pin_thread(i);
      std::uint64_t random = first_random * static_cast<std::uint64_t>(i + 1);
      std::uint64_t sum = 0;
      std::uint64_t done = 0;
      while (!is_over.load(std::memory_order_relaxed)) {
        for (int k = 0; k < 64; ++k) {
          sum += operate(next_random(random));
        }
        done += 64;
      }
      keep(sum);
      calls.fetch_add(done, std::memory_order_relaxed);
    });
  }
  std::this_thread::sleep_for(duration);
  is_over.store(true, std::memory_order_relaxed);
  all.wait();
  return {static_cast<double>(calls.load(std::memory_order_relaxed)) / nanoseconds_since(start) * 1e3};
}

// What a floor is measured with.
struct no_lock {
  void lock() {}
  void unlock() {}
  void lock_shared() {}
  void unlock_shared() {}
};

// Of a thousand random numbers so many.
inline bool is_one_of_a_thousand(std::uint64_t random, unsigned share) { return random % 1000 < share; }

// A number below `end`, from other bits.
inline std::size_t index_below(std::size_t end, std::uint64_t random) { return (random >> 20) % end; }

}  // namespace bench
