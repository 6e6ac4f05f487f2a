// turnkey::condition_variable: a queue of those who wait to be told.
//
// The state word
//   latched  somebody has the queue. Set by a wait to enter or to leave it, and by a notify that has found `queued`;
//            cleared by whoever set it, in one store.
//   queued   the queue is not empty. Changed under the latch only, exact while the latch is free.
//
// Order. A wait enters the queue before it unlocks the caller's lock. So a notifier that has had that lock after the
//   waiter gave it up is ordered after the store that set `queued` - by the lock itself, whoever made it - and a relaxed
//   load reads that store or a later one: no wakeup is lost by looking at the word before latching it. A notifier that
//   never had the lock may come too early, with Go's and std's condition variables too.
// Invariant T: a node in the queue has fate waiting; whoever takes it out changes that, under the latch, and then signals
//   it. Nobody else signals, so no wake is spurious, and each notify is spent on one wait, in queue order: no later wait
//   can steal it. (Not wait_queue::is_queued: a node that was taken out hangs in the notifier's own list until then.)
//
// Why a condition_variable may go early: the last access of a notify that wakes somebody is the store that lets go of
// the latch, before it signals; no wait that it ends returns before that. A notify that finds nobody only loads.
#include <turnkey/condition_variable.hpp>

#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "parking/waiter.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey {

using parking::wait_queue;
using parking::waiter;

namespace {

constexpr std::uint32_t latched = 1;
constexpr std::uint32_t queued = 2;

enum class fate { waiting, notified, notified_with_all };

// The node of one wait. The edge is the wait's own, because a notify orders nothing but the waits that it wakes.
struct sleeper final : waiter {
  explicit sleeper(const void* object) noexcept : waiter(parking::reason::condition_wait, object) {}

  void notify(fate how) noexcept {
    its_fate = how;
    edge.release();
  }

  fate its_fate = fate::waiting;  // guarded by the latch while it waits
  platform::tsan_edge edge;
};

sleeper& to_sleeper(waiter& w) noexcept { return static_cast<sleeper&>(w); }

}  // namespace

void condition_variable::notify_one() noexcept {
  if ((state_.load(std::memory_order_relaxed) & queued) == 0) return;
  parking::latch(state_, latched);
  wait_queue queue(queue_);
  waiter* const first = queue.pop_front();
  if (first != nullptr) to_sleeper(*first).notify(fate::notified);
  // order: release -- pairs with the acquire in latch(): the queue, and the fate of the one taken out. The
  // condition_variable may be gone after this line.
  state_.store(queue.is_empty() ? 0 : queued, std::memory_order_release);
  if (first != nullptr) first->signal();
}

void condition_variable::notify_all() noexcept {
  if ((state_.load(std::memory_order_relaxed) & queued) == 0) return;
  parking::latch(state_, latched);
  wait_queue queue(queue_);
  parking::wake_list leaving;
  while (waiter* const w = queue.pop_front()) {
    to_sleeper(*w).notify(fate::notified_with_all);
    leaving.push_back(*w);
  }
  // order: release -- as in notify_one().
  state_.store(0, std::memory_order_release);
  leaving.signal_all();
}

bool condition_variable::wait_unlocked(const wait_limit& limit, const any_lock& lock) {
  sleeper self(this);
  parking::latch(state_, latched);
  wait_queue(queue_).push_back(self);
  // order: release -- pairs with the acquire in latch(): the queue.
  state_.store(queued, std::memory_order_release);
  try {
    lock.unlock(lock.object);
  } catch (...) {
    // Nothing was waited for. A notify_one() that has chosen this wait meanwhile goes to the next in the queue: that may
    // be one who came after it, but a wake too many is harmless where a lost one hangs the program. A notify_all() has
    // woken the others already.
    if (!withdraw(self) && self.its_fate == fate::notified) notify_one();
    throw;
  }
  const bool is_notified = self.wait(limit) || !withdraw(self);
  if (is_notified) self.edge.acquire();
  lock.lock(lock.object);
  return is_notified;
}

// A waiter that gives up leaves the queue (true), unless it has been notified (false).
bool condition_variable::withdraw(waiter& self) noexcept {
  parking::latch(state_, latched);
  wait_queue queue(queue_);
  const bool is_waiting = to_sleeper(self).its_fate == fate::waiting;
  if (is_waiting) queue.remove(self);
  // order: release -- pairs with the acquire in latch(): the queue.
  state_.store(queue.is_empty() ? 0 : queued, std::memory_order_release);
  if (!is_waiting) self.await_signal();
  return is_waiting;
}

}  // namespace turnkey
