// turnkey::semaphore: tokens, and those who wait for some, first come first served.
//
// The state word
//   bits 63..2  the tokens that are there. Never more than the semaphore's size.
//   latched     somebody has the queue. Set by a waiter to enter or to leave it, and by release() if somebody waits;
//               cleared by whoever set it, in one store.
//   queued      the queue is not empty. Changed under the latch only, exact while the latch is free.
//
//   queued latched
//     0      0     nobody waits: acquire() and release() are one read-modify-write
//     1      0     the front of the queue asks for more tokens than are there
//     1      1     somebody is at the queue; nobody else changes the word
//
// Invariant Q: latched implies queued - a waiter that enters the queue sets both at once. So `queued` alone sends everyone
//   off the fast path, and try_acquire() need not wait for the latch to know that it fails.
// Invariant F: while the latch is free, the front of the queue does not fit. Whoever adds tokens or takes away the front
//   lets go those at the front that now fit, in the same store (grant).
// Invariant T: a node in the queue has request <= size; whoever takes it out sets that to granted, under the latch, and
//   then signals it. (Not wait_queue::is_queued: a node that was taken out hangs in the waker's own list until then.)
//
// A request for 0 tokens is one like the others: it succeeds at once unless somebody waits, and then waits for its turn.
// A request for more than the size can never be granted. It waits for its limit outside the queue, where it would block
// everyone behind it. Both as in golang.org/x/sync. A request that is granted as its limit ends has its tokens and
// succeeds; x/sync gives them back.
//
// Why a semaphore may go early: the last access of release() is the store or compare-exchange that makes its tokens
// visible, and no acquire() has them before that. One whose wait was successful does not touch the semaphore again.
#include <turnkey/semaphore.hpp>

#include <string>

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
constexpr std::uint64_t granted = UINT64_MAX;  // waiter::request

std::uint64_t checked_count(std::ptrdiff_t k, const char* function) {
  if (k < 0) {
    throw std::invalid_argument(std::string("turnkey::semaphore::") + function + ": negative count " +
                                std::to_string(k));
  }
  return static_cast<std::uint64_t>(k);
}

}  // namespace

bool semaphore::try_acquire(std::ptrdiff_t k) {
  const std::uint64_t wanted = checked_count(k, "try_acquire");
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  while ((word & queued) == 0 && word / unit >= wanted) {
    // order: acquire -- pairs with the releases in release() and grant(): what was done before the tokens came back.
    if (state_.compare_exchange_weak(word, word - wanted * unit, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      platform::tsan_acquire(&state_);
      return true;
    }
  }
  return false;
}

bool semaphore::acquire_within(const wait_limit& limit, std::ptrdiff_t k) {
  const std::uint64_t wanted = checked_count(k, "acquire");
  if (k <= size_ && try_acquire(k)) return true;
  waiter self(parking::reason::semaphore_acquire, this);
  self.request = wanted;
  if (k > size_) return self.wait(limit);  // nobody will signal it
  if (enqueue(self) && !self.wait(limit) && withdraw(self)) return false;
  platform::tsan_acquire(&state_);
  return true;
}

// Puts the waiter into the queue (true), unless its tokens are there and nobody waits: then takes them (false).
bool semaphore::enqueue(waiter& self) noexcept {
  parking::latch_backoff backoff;
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & queued) == 0 && word / unit >= self.request) {
      // order: acquire -- as in try_acquire().
      if (state_.compare_exchange_weak(word, word - self.request * unit, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return false;
      }
    } else if ((word & latched) != 0) {
      backoff.wait();
      word = state_.load(std::memory_order_relaxed);
      // order: acquire -- pairs with the release that cleared the latch: the queue as its last holder left it.
    } else if (state_.compare_exchange_weak(word, word | latched | queued, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
      break;
    }
  }
  wait_queue(queue_).push_back(self);
  // order: release -- pairs with the acquires that set the latch: the queue.
  state_.store(word | queued, std::memory_order_release);
  return true;
}

// A waiter whose limit has ended leaves the queue (true), unless its tokens have been granted (false).
bool semaphore::withdraw(waiter& self) noexcept {
  parking::latch_backoff backoff;
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  while ((word & queued) != 0) {  // an empty queue: it has been taken out
    if ((word & latched) != 0) {
      backoff.wait();
      word = state_.load(std::memory_order_relaxed);
      // order: acquire -- pairs with the release that cleared the latch: the queue, and the request below.
    } else if (state_.compare_exchange_weak(word, word | latched, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
      const bool is_waiting = self.request != granted;
      if (is_waiting) wait_queue(queue_).remove(self);
      grant(word / unit);
      if (is_waiting) return true;
      break;
    }
  }
  self.await_signal();
  return false;
}

void semaphore::release(std::ptrdiff_t k) {
  const std::uint64_t count = checked_count(k, "release");
  const auto size = static_cast<std::uint64_t>(size_);
  platform::tsan_release(&state_);
  parking::latch_backoff backoff;
  std::uint64_t word = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & latched) != 0) {
      backoff.wait();
      word = state_.load(std::memory_order_relaxed);
      continue;
    }
    if (count > size - word / unit) throw std::logic_error("semaphore: released more than held");
    const bool has_waiters = (word & queued) != 0;
    // order: release -- pairs with the acquires of those who take the tokens: what was done before this call.
    // acquire -- pairs with the release that cleared the latch: the queue. The semaphore may be gone after this line
    // unless somebody waits.
    if (state_.compare_exchange_weak(word, has_waiters ? word | latched : word + count * unit,
                                     std::memory_order_acq_rel, std::memory_order_relaxed)) {
      if (has_waiters) grant(word / unit + count);
      return;
    }
  }
}

// Under the latch, with `tokens` there: takes out those at the front whom they suffice for, lets go of the latch, wakes
// them.
void semaphore::grant(std::uint64_t tokens) noexcept {
  wait_queue queue(queue_);
  parking::wake_list leaving;
  while (!queue.is_empty() && queue.front()->request <= tokens) {
    waiter& next = *queue.pop_front();
    tokens -= next.request;
    next.request = granted;
    leaving.push_back(next);
  }
  // order: release -- pairs with the acquires of those who take the tokens, and with those that set the latch: the queue
  // and the requests. The semaphore may be gone after this line.
  state_.store(tokens * unit | (queue.is_empty() ? 0 : queued), std::memory_order_release);
  leaving.signal_all();
}

}  // namespace turnkey
