// turnkey::wait_group: a counter and those who wait for it to be zero.
//
// The state word
//   bits 63..32  the counter. Negative after a misuse, for good unless it is counted up again.
//   latched      somebody has the queue. Set by wait() to enter or to leave it, together with `ending` by the call that
//                ends the round; cleared by whoever set it, in one store.
//   queued       the queue is not empty. Changed under the latch only, exact while the latch is free.
//   ending       with latched: a decrement to zero has been decided and is taking the waiters out.
//
//   counter  queued latched ending
//   0          0      0       0      free: wait() returns at once
//   not 0      0      0       0      add() is one read-modify-write
//   not 0      1      0       0      add() is one read-modify-write, unless it would make the counter 0
//   not 0      1      1       0      a waiter is entering or leaving; add() waits a few instructions
//   not 0      1      1       1      the last done() is at the queue; the next store makes the word 0
//
// Invariant Z: a counter of 0 means that the whole word is 0 and the queue empty. The latch is only ever set in a word
//   whose counter is not 0, and nobody else changes a latched word. So the decrement to zero, when somebody waits, does
//   not show before the queue has been emptied: one and the same store makes both true.
// Invariant T: a node in the queue has request == waiting; whoever takes it out changes that, under the latch, and then
//   signals it. (Not wait_queue::is_queued: a node that was taken out hangs in the waker's own list until then.)
//
// Why a wait_group may go early. The last access of add() is the store or compare-exchange that makes its delta visible;
// no wait returns before that. A waiter that was let go does not touch the object again, with two exceptions: it was the
// only one to be let go (below), or its limit ended at the same time (it looks whether it was taken out; nobody else can
// know meanwhile how that wait will end).
//
// The check for reuse reads the word after the wake, as Go's does - in Go, where memory that somebody reads stays. Here
// two that are let go together return in any order, and the first one may destroy the wait_group. So only a waiter that
// was let go alone looks: its own wait has not returned yet. Reuse is missed if there were several.
#include <turnkey/wait_group.hpp>

#include <limits>
#include <stdexcept>

#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "parking/waiter.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey {

using parking::wait_queue;
using parking::waiter;

namespace {

constexpr std::uint64_t latched = 1;
constexpr std::uint64_t queued = 2;
constexpr std::uint64_t ending = 4;
constexpr int counter_shift = 32;

// waiter::request
constexpr std::uint64_t waiting = 0;
constexpr std::uint64_t let_go_alone = 1;
constexpr std::uint64_t let_go_with_others = 2;

constexpr std::int64_t counter_of(std::uint64_t word) noexcept {
  return static_cast<std::int32_t>(word >> counter_shift);
}

// Sets the latch, and `also`, unless the counter is 0. `word`: what it read or made.
bool latch_unless_zero(std::atomic<std::uint64_t>& state, std::uint64_t also, std::uint64_t& word) noexcept {
  parking::latch_backoff backoff;
  for (;;) {
    // order: acquire -- pairs with the releases in add() and end_round(): at zero, what was done before every done().
    word = state.load(std::memory_order_acquire);
    if (counter_of(word) == 0) return false;
    if ((word & latched) != 0) {
      backoff.wait();
      // order: acquire -- pairs with the release that cleared the latch: the queue as its last holder left it.
    } else if (state.compare_exchange_weak(word, word | latched | also, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      word |= latched | also;
      return true;
    }
  }
}

}  // namespace

void wait_group::add(int delta) {
  if (delta < 0) platform::tsan_release(&state_);
  // Mostly the counter was positive or 0, remains positive, and nobody is in the way.
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  const auto counter = static_cast<std::uint64_t>(counter_of(word) + delta);
  if ((word & latched) == 0 && counter - 1 < std::numeric_limits<std::int32_t>::max()) [[likely]] {
    const std::uint64_t next = word + (static_cast<std::uint64_t>(delta) << counter_shift);
    // order: acq_rel -- as in add_anyhow().
    if (state_.compare_exchange_strong(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) return;
  }
  add_anyhow(delta);
}

void wait_group::add_anyhow(int delta) {
  parking::latch_backoff backoff;
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t counter = counter_of(word) + delta;
    if ((word & latched) != 0) {
      // The waiters are as good as gone, the counter as good as zero: this begins a round before the last one is over.
      if ((word & ending) != 0 && delta > 0) {
        throw std::logic_error("sync: WaitGroup misuse: Add called concurrently with Wait");
      }
      backoff.wait();
      word = state_.load(std::memory_order_relaxed);
      continue;
    }
    if (counter > std::numeric_limits<std::int32_t>::max()) throw std::logic_error("sync: WaitGroup counter overflow");
    if (counter < std::numeric_limits<std::int32_t>::min()) break;
    const bool ends_round = counter == 0 && (word & queued) != 0;
    const std::uint64_t next =
        ends_round ? word | latched | ending : word + (static_cast<std::uint64_t>(delta) << counter_shift);
    // order: release -- pairs with the acquires in latch_unless_zero() and wait_within(): what was done before this
    // done(). acquire -- pairs with this same release of the earlier ones, whose work end_round() hands on.
    if (!state_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
    if (ends_round) end_round();
    // Not `this` from here on: the wait_group may be gone.
    if (counter >= 0) return;
    break;
  }
  throw std::logic_error("sync: negative WaitGroup counter");
}

// Under the latch: takes everyone out, makes the word 0, wakes them.
void wait_group::end_round() noexcept {
  wait_queue queue(queue_);
  parking::wake_list leaving;
  const std::uint64_t how = queue.after(*queue.front()) == nullptr ? let_go_alone : let_go_with_others;
  while (waiter* const w = queue.pop_front()) {
    w->request = how;
    leaving.push_back(*w);
  }
  // order: release -- pairs with the acquires in latch_unless_zero() and wait_within(): what was done before every
  // done(), and the requests above. The wait_group may be gone after this line.
  state_.store(0, std::memory_order_release);
  leaving.signal_all();
}

bool wait_group::wait_within(const wait_limit& limit) {
  // order: acquire -- pairs with the releases in add() and end_round(): what was done before every done().
  if (counter_of(state_.load(std::memory_order_acquire)) == 0) {
    platform::tsan_acquire(&state_);
    return true;
  }
  waiter self(parking::reason::wait_group_wait, this);
  std::uint64_t word = 0;
  if (latch_unless_zero(state_, queued, word)) {
    wait_queue(queue_).push_back(self);
    // order: release -- pairs with the acquires that set the latch: the queue.
    state_.store(word & ~latched, std::memory_order_release);
    if (!self.wait(limit) && withdraw(self)) return false;
  }
  platform::tsan_acquire(&state_);
  // The word is read for its value only. Relaxed is enough: what add() stored after the store that let this one go may be
  // missed, which is what best effort means.
  if (self.request == let_go_alone && state_.load(std::memory_order_relaxed) != 0) {
    throw std::logic_error("sync: WaitGroup is reused before previous Wait has returned");
  }
  return true;
}

// A waiter whose limit has ended leaves the queue (true), unless it has been let go (false).
bool wait_group::withdraw(waiter& self) noexcept {
  std::uint64_t word = 0;
  // At zero nobody is in the queue (invariant Z).
  if (latch_unless_zero(state_, 0, word)) {
    const bool is_waiting = self.request == waiting;
    if (is_waiting) {
      wait_queue queue(queue_);
      queue.remove(self);
      if (queue.is_empty()) word &= ~queued;
    }
    // order: release -- pairs with the acquires that set the latch: the queue.
    state_.store(word & ~latched, std::memory_order_release);
    if (is_waiting) return true;
  }
  self.await_signal();
  return false;
}

}  // namespace turnkey
