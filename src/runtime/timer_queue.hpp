// Deadlines of waiting goroutines. OS threads do not need it: they sleep with a time limit in the kernel.
//
// A few shards, each a 4-ary heap under its own lock. A timer lives in the waiting call's frame. A due timer is alarmed
// under the shard's lock, so when cancel() has returned nobody touches the waiter on its behalf (invariant A of waiter).
#pragma once

#include <cstdint>

#include "parking/waiter.hpp"

namespace turnkey::runtime {

struct timer {
  parking::waiter* w = nullptr;
  std::int64_t deadline = 0;
  std::uint32_t shard = 0;
  std::uint32_t place = 0;  // in the heap; no_place: not in it
  static constexpr std::uint32_t no_place = UINT32_MAX;
};

class timer_queue {
 public:
  static constexpr std::uint32_t shards = 8;
  // Starts `t`, in shard `hint` % shards. Ends the program if there is no memory.
  static void start(timer& t, std::uint32_t hint) noexcept;
  // Stops it; afterwards it does not fire any more. O(log n).
  static void cancel(timer& t) noexcept;
  // Alarms what is due at `now`. Returns how many.
  static std::uint32_t fire(std::int64_t now) noexcept;
  static std::uint32_t fire_shard(std::uint32_t shard, std::int64_t now) noexcept;
  // The earliest deadline; platform::no_deadline if there is none.
  static std::int64_t earliest() noexcept;
  static std::int64_t earliest_of(std::uint32_t shard) noexcept;
};

}  // namespace turnkey::runtime
