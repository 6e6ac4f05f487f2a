// turnkey::once: who runs it, who waits until it has been run.
//
// The state word
//   running  a caller has been chosen. Set by it, cleared by its finish().
//   done     it has been run. Set by finish(), never cleared.
//   latched  somebody has the queue. Set by a waiter to enter or to leave it, and by finish(); only while running.
//   queued   the queue is not empty. Changed under the latch only, exact while the latch is free.
//
//   running done queued latched
//      0     0     0      0      nobody has come
//      1     0     0      0      running, nobody waits          finish() is one step
//      1     0     1      0      running, others wait           finish() visits the queue
//      1     0     1      1      somebody is at the queue
//      0     1     0      0      done, for good
//
// Invariant D: once `done` is set the word never changes again and the queue is empty; finish() takes everyone out
//   before, and one and the same store makes both true. So a waiter that reads `done` knows that it has been taken out.
//
// Why a once may go early: the last access of finish() is the store that sets `done`, and no call returns before that.
// A waiter that was let go does not touch the once again.
#include <turnkey/once.hpp>

#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "parking/waiter.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey {

using parking::wait_queue;
using parking::waiter;

namespace {

constexpr std::uint32_t running = 1;
constexpr std::uint32_t done = 2;
constexpr std::uint32_t latched = 4;
constexpr std::uint32_t queued = 8;

// Sets the latch, and `also`, unless it is done. Only while running.
bool latch_unless_done(std::atomic<std::uint32_t>& state, std::uint32_t also) noexcept {
  parking::latch_backoff backoff;
  for (;;) {
    // order: acquire -- pairs with the releases in finish(): what f did.
    std::uint32_t word = state.load(std::memory_order_acquire);
    if (word == done) return false;
    if ((word & latched) != 0) {
      backoff.wait();
      // order: acquire -- pairs with the release that cleared the latch: the queue as its last holder left it.
    } else if (state.compare_exchange_weak(word, word | latched | also, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      return true;
    }
  }
}

}  // namespace

bool once::is_done() const noexcept {
  // order: acquire -- pairs with the releases in finish(): what f did.
  if (state_.load(std::memory_order_acquire) != done) return false;
  platform::tsan_acquire(const_cast<std::atomic<std::uint32_t>*>(&state_));
  return true;
}

once::turn once::begin(const wait_limit& limit) noexcept {
  std::uint32_t nobody = 0;
  if (state_.compare_exchange_strong(nobody, running, std::memory_order_relaxed)) return turn::run;
  waiter self(parking::reason::once_call, this);
  if (latch_unless_done(state_, queued)) {
    wait_queue(queue_).push_back(self);
    // order: release -- pairs with the acquires that set the latch: the queue.
    state_.store(running | queued, std::memory_order_release);
    if (!self.wait(limit) && withdraw(self)) return turn::gave_up;
  }
  platform::tsan_acquire(&state_);
  return turn::done;
}

// A waiter whose limit has ended leaves the queue (true), unless it has been let go (false).
bool once::withdraw(waiter& self) noexcept {
  if (!latch_unless_done(state_, 0)) {
    self.await_signal();
    return false;
  }
  wait_queue queue(queue_);
  queue.remove(self);
  // order: release -- pairs with the acquires that set the latch: the queue.
  state_.store(queue.is_empty() ? running : running | queued, std::memory_order_release);
  return true;
}

void once::finish() noexcept {
  platform::tsan_release(&state_);
  parking::latch_backoff backoff;
  for (;;) {
    std::uint32_t word = running;
    // order: release -- pairs with the acquires in is_done() and latch_unless_done(): what f did. The once may be gone
    // after this line.
    if (state_.compare_exchange_strong(word, done, std::memory_order_release, std::memory_order_relaxed)) return;
    if ((word & latched) != 0) {
      backoff.wait();
      // order: acquire -- pairs with the release that cleared the latch: the queue.
    } else if (state_.compare_exchange_strong(word, word | latched, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
      break;
    }
  }
  parking::wake_list leaving;
  while (waiter* const w = wait_queue(queue_).pop_front()) leaving.push_back(*w);
  // order: release -- as above.
  state_.store(done, std::memory_order_release);
  leaving.signal_all();
}

}  // namespace turnkey
