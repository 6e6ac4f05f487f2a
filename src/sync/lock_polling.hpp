// What those who wait for a lock have in common while they look at it, before they queue up.
#pragma once

#include <atomic>
#include <cstdint>

#include <turnkey/wait_limit.hpp>

#include "parking/control.hpp"
#include "parking/latch.hpp"
#include "parking/waiter.hpp"
#include "platform/cpu.hpp"
#include "sync/lock_core.hpp"

namespace turnkey {

constexpr std::int64_t turn_length = 250'000;  // how long one may keep taking a lock that another is first in line for
constexpr std::int64_t first_poll = 8'000;     // before queueing up: most locks come free, and to sleep costs more

inline bool is_open_for_reader(std::uint32_t word) noexcept {
  return (word & (lock_protocol::held | lock_protocol::blocking)) == 0;
}

// A goroutine that waits for an rw_mutex parks, after giving way if it wants to write (deference): whom it waits for is mostly a goroutine
// that has been let in and wants a worker, this one perhaps; and a switch takes less time than a poll that is in vain.
inline bool never_polls(const lock_protocol::kind& kind, const parking::control& self) noexcept {
  return kind.has_readers() && !self.is_thread();
}

// Waits between two looks at the lock, longer and longer, 25 ns a round. A poller that reads the line often slows the holder
// down, and the sooner it comes back, the likelier it snatches the lock between two turns of one who takes it again and
// again: each such change of hands moves the line to and fro, for the price of ten turns. After 200 ns, in place of 800, it
// did so three times as often where ten thousand goroutines take turns of a hundred.
class poll_backoff {
 public:
  void wait() noexcept {
    platform::pause(rounds_);
    if (rounds_ < 512) rounds_ *= 4;
  }
  void reset() noexcept { rounds_ = first; }

 private:
  static constexpr int first = 32;
  int rounds_ = first;
};

// How an OS thread waits for an rw_mutex before it queues up. Those in the queue are let in and woken all at once, and what
// comes next waits until the last of them has had a CPU. So where there are more threads than CPUs, all of them end up in the
// queue, and the lock goes round as fast as the kernel switches: a hundred times slower. One that leaves its CPU to others,
// but does not queue up, keeps nobody from the lock. It does so no longer than one may be overtaken, and than it has used
// as much of the CPU as a sleep costs, as happens soon if nobody else wants that.
class courtesy {
 public:
  // Waits a little; false: it has been enough.
  bool wait(parking::control& self, std::int64_t now) noexcept {
    if (since_ == 0) since_ = last_ = now;
    const std::int64_t spent = now - last_;
    used_ += is_yielding_ && spent > longest_yield ? longest_yield : spent;
    last_ = now;
    if (now - since_ > longest || used_ > most_used) return false;
    is_yielding_ = used_ > first_poll;
    if (is_yielding_) {
      self.give_way();
    } else {
      backoff_.wait();
    }
    return true;
  }

 private:
  static constexpr std::int64_t longest = 1'000'000;
  static constexpr std::int64_t most_used = 50'000;
  static constexpr std::int64_t longest_yield = 1'000;  // of its own time, if it takes longer

  std::int64_t since_ = 0;
  std::int64_t last_ = 0;
  std::int64_t used_ = 0;
  bool is_yielding_ = false;
  poll_backoff backoff_;
};

// How a goroutine waits for an rw_mutex that it wants to write to before it queues up. Once it is in the queue, each reader that
// was let in has to wait again after its next unlock, and the lock goes round as fast as goroutines switch: some 10 in place of
// 50 million operations a second. Whom it waits for has mostly been let in and wants a worker, this one: so it lets all run that
// are ready here. Is the lock in use still, then by another CPU, which gets most done while it has it to itself: so it insists,
// stays away for a while each time, and gives way again. With nobody to let run, the queue is no worse.
class deference {
 public:
  // False: it has been enough.
  bool wait(parking::control& self, std::uint32_t word, std::int64_t now) noexcept {
    if (times_ == 0) since_ = now;
    if (times_ >= most || !had_company_ || now - since_ > longest) return false;
    constexpr std::uint32_t goes_round = lock_protocol::queued | lock_protocol::awake;
    if (times_ != 0 && (word & goes_round) == 0) platform::pause(rounds_away);
    ++times_;
    had_company_ = self.give_way();
    return true;
  }
  [[nodiscard]] bool is_to_insist() const noexcept { return times_ == 1 && had_company_; }
  [[nodiscard]] bool has_insisted() const noexcept { return times_ > 1 && times_ <= most; }
  void end() noexcept { times_ = most + 1; }

 private:
  static constexpr int most = 10;
  static constexpr int rounds_away = 400;  // 10 us
  static constexpr std::int64_t longest = 1'000'000;

  int times_ = 0;
  bool had_company_ = true;
  std::int64_t since_ = 0;
};

struct looks {
  int count;
  int growth;  // each is so many times as far off as the one before; the first 25 ns
};
// 300 ns. So close together that they see a holder who has the lock for a fifth of the time. Three looks within 175 ns did not:
// every second time the poller took the lock away in the middle of a turn, which cost eight threads an eighth of what they got
// done, and let them wait for 24 ms in place of 10, because then more than two of them want a CPU.
constexpr looks close_looks{12, 1};

// True if the lock, which has just been seen free, is so at some more looks as well. One that is taken, freed and taken again by
// the same holder is free for a moment all the time, or for most of it; to snatch it there would cost more than it brings: the
// holder's turn ends, and somebody must be woken for the next one.
inline bool stays_free(const std::atomic<std::uint32_t>& word, looks at) noexcept {
  for (int rounds = 1; at.count > 0; --at.count, rounds *= at.growth) {
    platform::pause(rounds);
    if ((word.load(std::memory_order_relaxed) & lock_protocol::held) != 0) return false;
  }
  return true;
}

// True if the lock, which was held, is free within 600 ns, and stays so for long enough: there is room for one more. One that
// is taken again at once shows that at the first looks, mostly.
inline bool has_room(const std::atomic<std::uint32_t>& word) noexcept {
  for (int looks = 0; looks < 12; ++looks) {
    platform::pause(2);
    if ((word.load(std::memory_order_relaxed) & lock_protocol::held) == 0) return stays_free(word, close_looks);
  }
  return false;
}

// An unlock that has somebody to wake wants the latch, of a lock whose word was `word`. False: `word` is as it is now.
inline bool latch_or_wait(lock_core& lock, std::uint32_t& word, parking::latch_backoff& backoff) noexcept {
  auto& state = lock_protocol::state(lock);
  if ((word & lock_protocol::latched) != 0) {
    backoff.wait();
    word = state.load(std::memory_order_relaxed);
    return false;
  }
  // order: acquire -- pairs with the release that cleared the latch: the queue.
  return state.compare_exchange_weak(word, word | lock_protocol::latched, std::memory_order_acquire,
                                     std::memory_order_relaxed);
}

inline bool has_ended(const wait_limit& limit, std::int64_t now) noexcept {
  return now >= limit.deadline() || (limit.watch() != nullptr && limit.watch()->is_raised());
}

}  // namespace turnkey
