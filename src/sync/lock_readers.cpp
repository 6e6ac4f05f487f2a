// The slow paths of rw_mutex for readers. The state word and the invariants are in sync/lock_core.hpp.
#include "parking/contention.hpp"
#include "parking/control.hpp"
#include "parking/hooks.hpp"
#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "sync/lock_core.hpp"
#include "sync/lock_polling.hpp"

namespace turnkey {

using parking::contention;
using parking::control;
using parking::lock_queue;
using parking::reason;
using parking::waiter;

namespace {

// Of a sequence, before the lock is armed for it: something interrupts the thread again and again, a debugger perhaps.
constexpr int most_restarts = 8;

}  // namespace

bool lock_protocol::enqueue_reader(lock_core& lock, waiter& w) noexcept {
  std::uint32_t word = latch_armed(lock, rw_mutex_kind);
  lock_queue queue(lock.queue_);
  queue.push_back(w);
  for (;;) {
    if (is_open_for_reader(word)) {
      queue.remove(w);
      lock.state_.fetch_and(~latched, std::memory_order_release);
      return false;
    }
    // order: release -- pairs with the acquire in latch_armed().
    if (lock.state_.compare_exchange_weak(word, (word & ~latched) | queued | readers_queued, std::memory_order_release,
                                          std::memory_order_relaxed)) {
      return true;
    }
  }
}

// Under the latch, with only readers in the queue: counts them in, takes them out, lets go of the latch, wakes them. Until
// they are woken they are waiting, so the lock cannot be destroyed meanwhile.
void lock_protocol::admit_readers(lock_core& lock) noexcept {
  lock_queue queue(lock.queue_);
  const std::uint32_t count = queue.size();
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    const bool is_held = (word & held) != 0;  // a writer was faster: they wait for it as before
    const std::uint32_t next = is_held ? word & ~latched : word + count * reader;
    // order: acq_rel -- acquire pairs with the releases of unlock: the readers are let in here; release with latch_armed().
    if (lock.state_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      if (is_held) return;
      break;
    }
  }
  parking::wake_list admitted;
  contention delay;
  delay.before(queue);
  while (waiter* const w = queue.pop_front()) {
    w->let_in();
    admitted.push_back(*w);
  }
  // order: release -- pairs with the acquire in latch_armed().
  lock.state_.fetch_and(~(latched | queued | readers_queued), std::memory_order_release);
  admitted.signal_all();
  delay.charge();
}

// The lock is not armed. True: it was spread, and the reader is counted (change 1) or discounted (-1). Else the lock is armed.
bool lock_protocol::count_reader_or_arm(lock_core& lock, std::int32_t change) noexcept {
  for (int round = 0; round < most_restarts; ++round) {
    if (count_reader(lock, change)) return true;
  }
  arm(lock, rw_mutex_kind);
  return false;
}

bool lock_protocol::try_lock_shared(lock_core& lock) noexcept {
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & armed) == 0) {
      if (count_reader_or_arm(lock, 1)) return true;
      word = lock.state_.load(std::memory_order_relaxed);
      continue;
    }
    if (!is_open_for_reader(word)) return false;
    if (has_most_readers(word)) platform::fatal("sync: too many readers");
    // order: acquire -- pairs with the releases of unlock: what the last writer did is seen.
    if (lock.state_.compare_exchange_weak(word, word + reader, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
  }
}

bool lock_protocol::lock_shared_slow(lock_core& lock, const wait_limit& limit, const void* object) noexcept {
  control& self = control::current();
  const bool may_poll = self.is_thread() && self.spin_time() != 0;  // a goroutine: see never_polls()
  const bool is_timed = may_poll || !limit.is_unlimited() || contention::is_charged();
  courtesy polite;
  std::int64_t since = 0;
  for (;;) {
    if (try_lock_shared(lock)) return true;
    if (is_timed) {
      const std::int64_t now = platform::now();
      if (has_ended(limit, now)) return false;
      if (since == 0) since = now;
      if (may_poll && polite.wait(self, now)) continue;
    }
    waiter w(reason::rw_mutex_lock_shared, object);
    w.request = static_cast<std::uint64_t>(since);
    if (!enqueue_reader(lock, w)) continue;
    const parking::lock_wait_scope scope(w.control(), w, &lock, limit.is_unlimited());
    if (w.wait(limit)) return true;  // whoever woke it has counted it in
    if (withdraw(lock, rw_mutex_kind, w)) return false;
    w.await_signal();
    return true;
  }
}

void lock_protocol::unlock_shared(lock_core& lock) noexcept {
  parking::latch_backoff backoff;
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & armed) == 0) {
      if (count_reader_or_arm(lock, -1)) return;
      word = lock.state_.load(std::memory_order_relaxed);
      continue;
    }
    if (word < reader) platform::fatal("sync: RUnlock of unlocked RWMutex");
    const bool is_last = word - reader < reader;
    if (!is_last || (word & queued) == 0 || (word & awake) != 0) {
      // order: release -- pairs with the acquires of lock: the writer sees what the readers did.
      if (lock.state_.compare_exchange_weak(word, word - reader, std::memory_order_release,
                                            std::memory_order_relaxed)) {
        return;
      }
    } else if (latch_or_wait(lock, word, backoff)) {
      break;
    }
  }

  // The last reader, and a writer is queued (invariant R): frozen (invariant Z).
  waiter* const writer = first_writer(lock);
  lock_queue queue(lock.queue_);
  contention delay;
  delay.before(queue);
  queue.remove(*writer);
  delay.after(queue);
  const std::uint32_t kept = word & ~(queued | readers_queued | blocking);
  // order: release -- pairs with the acquires of lock and latch_armed(). The lock may be gone after this line.
  lock.state_.store((kept - reader) | queue_flags(lock) | awake | blocking, std::memory_order_release);
  writer->signal();
  delay.charge();
  asm volatile("");  // no tail call: a stack must show who unlocks
}

}  // namespace turnkey
