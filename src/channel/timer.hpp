// Channels that tick: what `after`, `timer` and `ticker` give out. A buffered channel with room for one tick, which looks
// unbuffered from outside, and behind its slot this record of when the next tick is due.
//
//   due_        when the next tick is due; none: no tick will come, until reset()
//   receivers_  receives and selects on the channel that may have to wait, from enter() to leave()
//
// Both are changed under the lock of the timer's shard; due_ is read without it to see that nothing is due.
//
// Invariant L (ticks are lazy): the timer is in the queue if and only if receivers_ != 0 and due_ is not none. Otherwise
//   nobody could see the tick come, and it is put into the channel when somebody looks (look). So a timer that nobody
//   waits for wakes no worker, hides no deadlock, and costs nothing when it is abandoned; and starting or stopping it
//   does not touch the heap.
// Invariant T (no stale tick): ticks get into the channel under the shard's lock, and stop() and reset() take out what is
//   there under the same lock. What a receive returns afterwards was due after that. (A tick that was handed to a receiver
//   before has been received, although that receive may not have returned yet.)
// Invariant E: whoever is between enter() and leave() has a handle, so the channel cannot go while the timer is queued; and
//   a receiver that a tick has woken comes past the shard's lock in leave() before it can drop that handle.
#pragma once

#include <atomic>
#include <cstdint>

#include <turnkey/chan.hpp>
#include <turnkey/timer.hpp>

#include "channel/channel_core.hpp"
#include "platform/futex.hpp"
#include "platform/sanitizer.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey {

class channel_timer final : private runtime::timer {
 public:
  // A channel whose first tick is due in `nanoseconds`, and then one every `period` if that is not 0. One handle.
  static channel_core* make(std::int64_t nanoseconds, std::int64_t period);
  // Of a channel that was made so.
  static channel_timer& of(channel_core& channel) noexcept {
    return *static_cast<channel_timer*>(channel_protocol::extra(channel));
  }

  // No tick any more. True if that prevented one: none has been received that was due since the start.
  bool stop() noexcept;
  // The same, and starts anew.
  bool reset(std::int64_t nanoseconds, std::int64_t period) noexcept;

  // What receiving from the channel is: ok, or, if the limit ends before a tick comes, timeout; null: does not wait, and
  // returns would_block.
  chan_status receive(void* to, const wait_limit* limit);

  // What select does with its cases. To be called before it looks whether there is a tick: if one is due, there is now.
  void look() noexcept;
  // Around a receive or select that may wait.
  void enter() noexcept;
  void leave() noexcept;
  // The caller has received a tick: what was done before the timer was started is seen. The queue's part in it is no order.
  void note_received() noexcept { platform::tsan_acquire(this); }

 private:
  using hold = runtime::timer_queue::hold;
  static constexpr std::int64_t none = platform::no_deadline;

  channel_timer(channel_core& channel, std::int64_t nanoseconds, std::int64_t period) noexcept;
  // All under the shard's lock.
  void start(hold& held, std::int64_t now) noexcept;
  bool disarm(hold& held) noexcept;
  void tick(std::int64_t now) noexcept;
  void put(std::int64_t due) noexcept;

  channel_core& channel_;
  std::int64_t period_;  // 0: once
  std::atomic<std::int64_t> due_;
  std::uint32_t receivers_ = 0;
};

}  // namespace turnkey
