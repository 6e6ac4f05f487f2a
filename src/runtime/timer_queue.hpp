// What is to happen at a time: the ends of goroutines' waits, calls that were put off, ticks that somebody waits for.
// OS threads do not need it for a time limit: they sleep with one in the kernel.
//
// A few shards, each a 4-ary heap under its own lock. A timer is a member or a base of what it is for, so starting one
// allocates nothing but the heap's own room. Every entry counts as somebody who may still wake others: what could wake
// nobody must not be in the queue (a tick that nobody waits for is not; see channel/timer.hpp).
//
// Invariant F: a due timer is taken out of the heap and fires under its shard's lock. So once cancel() has returned, or a
//   hold on the timer has been taken, it is not firing, and nobody touches it on behalf of the queue (invariant A of
//   waiter rests on that).
// What fires holds the lock for a few instructions: it alarms a waiter, readies a goroutine, puts a tick into a channel. It
// must not run user code, wait, or take another shard's lock. Locks are taken in the order shard, then a channel's latch.
#pragma once

#include <cstdint>

#include "parking/waiter.hpp"
#include "platform/futex.hpp"

namespace turnkey::runtime {

struct timer {
  // Called when due, under the shard's lock, out of the heap. Returns when to fire again, later than `now`, or
  // platform::no_deadline: then the queue does not touch the timer any more, which may be gone.
  using action = std::int64_t (*)(timer& self, std::int64_t now) noexcept;
  static constexpr std::uint32_t no_place = UINT32_MAX;

  action fire = nullptr;
  std::int64_t deadline = platform::no_deadline;
  std::uint32_t shard = 0;
  std::uint32_t place = no_place;  // in the heap; under the shard's lock
};

// The end of a waiter's time limit.
struct alarm_timer : timer {
  alarm_timer(parking::waiter& waiter, std::int64_t when) noexcept : w(&waiter) {
    deadline = when;
    fire = [](timer& self, std::int64_t) noexcept {
      static_cast<alarm_timer&>(self).w->alarm();
      return platform::no_deadline;
    };
  }
  parking::waiter* w;
};

class timer_queue {
 public:
  static constexpr std::uint32_t shards = 8;

  // The lock of a timer's shard: what happens to the timer and to what its firing uses is one step.
  class hold {
   public:
    explicit hold(timer& t) noexcept;
    ~hold();
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    [[nodiscard]] bool is_pending() const noexcept { return timer_.place != timer::no_place; }
    // Not pending, due at timer.deadline. False: no memory for the heap.
    [[nodiscard]] bool start() noexcept;
    // Pending. O(log n).
    void cancel() noexcept;

   private:
    timer& timer_;
  };

  // Puts `t` into its shard. Whoever is not an active worker must then call scheduler::note_timer. False: no memory.
  [[nodiscard]] static bool start(timer& t) noexcept;
  // Stops it; afterwards it does not fire. True if it was pending. O(log n).
  static bool cancel(timer& t) noexcept;
  // The program cannot go on without this timer.
  [[noreturn]] static void end_without_room() noexcept;

  // Fires what is due at `now`, a batch a shard at most. Returns how many.
  static std::uint32_t fire(std::int64_t now) noexcept;
  static std::uint32_t fire_shard(std::uint32_t shard, std::int64_t now) noexcept;
  // The earliest deadline; platform::no_deadline if there is none.
  static std::int64_t earliest() noexcept;
  static std::int64_t earliest_of(std::uint32_t shard) noexcept;
};

}  // namespace turnkey::runtime
