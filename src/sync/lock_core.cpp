// The slow paths of mutex and rw_mutex for writers: waiting for the lock, and passing it on. The state word and the invariants
// are in sync/lock_core.hpp; readers, arming and turns have files of their own.
#include "sync/lock_core.hpp"

#include "parking/contention.hpp"
#include "parking/control.hpp"
#include "parking/hooks.hpp"
#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "platform/rseq.hpp"
#include "sync/lock_polling.hpp"

namespace turnkey {

using parking::contention;
using parking::control;
using parking::lock_queue;
using parking::waiter;

namespace {

// Of a goroutine, before it arms a calm lock: that interrupts the other CPUs. It begins again whenever the lock has another
// holder, up to turn_length: while a crowd passes the lock on, a look will find it free before long. Without that, two
// workers' ten thousand goroutines armed their lock up to forty times, each time for the price of a hundred turns.
constexpr std::int64_t arm_patience = 30'000;
// How often one that finds the lock held looks for room (a goroutine), or lets others have the CPU (an OS thread), before it queues
// up. Ten times in place of two, eight threads got a fifth more done, but the least served of them .3 to .5 of the most served in
// place of .5 to .7: who gives way uses up its share of the CPU.
constexpr int most_looks = 4;
constexpr int most_yields = 2;
// Unlocks of armed locks that wake nobody between two that disarm. Goroutines pass a lock around on one worker, and whoever
// is on another arms it again soon; a thread that disarms early makes the others wait long.
constexpr std::uint32_t calm_down_of_goroutine = 1u << 6;
constexpr std::uint32_t calm_down_of_thread = 1u << 12;

// The unlocks of armed locks by this OS thread that found nobody waiting.
[[gnu::tls_model("initial-exec")]] thread_local constinit std::uint32_t quiet_unlocks = 0;

bool is_time_to_disarm() noexcept {
  const std::uint32_t every =
      parking::is_thread_token(parking::current_token()) ? calm_down_of_thread : calm_down_of_goroutine;
  return ++quiet_unlocks % every == 0;
}

}  // namespace

// A writer on its way through lock_slow.
struct lock_protocol::contender {
  control& self;
  const kind& type;
  const void* object;
  bool is_awake_one = false;  // owns the awake bit
  bool has_deferred = false;  // queues up although the lock is free; see "Who may overtake"
  bool has_room = false;      // the lock, when it was last looked at
  int tries = 0;
  bool has_expired = false;      // its limit ended while it was handed the awake bit: one last try
  std::int64_t since = 0;        // when it began to wait, or was last woken
  std::int64_t first_since = 0;  // when it became first in line: since then it is being overtaken
  std::int64_t poll_until = 0;   // polls until then, then sleeps
  std::uint32_t seen_owner = 0;  // who had the lock when it last looked, and since when
  std::int64_t seen_since = 0;
  poll_backoff backoff{};
  courtesy polite{};
  deference deferring{};

  // How long it polls before it queues up.
  [[nodiscard]] std::int64_t first_patience() const noexcept {
    return self.spin_time() == 0 || type.has_readers() ? 0 : first_poll;
  }
  // An OS thread polls while it is first in line; a goroutine's worker has better to do.
  [[nodiscard]] bool is_poller() const noexcept { return self.spin_time() > first_poll; }
  [[nodiscard]] bool defers(std::uint32_t word) const noexcept {
    return has_deferred && !is_awake_one && (word & awake) != 0;
  }
  // A goroutine that wants to write: whether it has let others run before it says so.
  [[nodiscard]] bool gives_way(const lock_core& lock, std::uint32_t word, std::int64_t now) noexcept {
    if (is_awake_one || !never_polls(type, self)) return false;
    if (deferring.is_to_insist() && !is_worth_insisting(lock)) deferring.end();
    if (deferring.wait(self, word, now)) return true;
    end_deferring(lock, false);
    return false;
  }
  void end_deferring(const lock_core& lock, bool has_paid) noexcept {
    if (deferring.has_insisted()) note_insisting(lock, has_paid);
    deferring.end();
  }
  // Before it queues up: whether it tries again at once. An OS thread has let others have the CPU, one of whom may be the holder.
  [[nodiscard]] bool tries_again(lock_core& lock, std::uint32_t word) noexcept {
    has_room = false;
    if (is_awake_one || type.has_readers() || self.spin_time() == 0) return false;
    if (self.is_thread()) {
      if (tries == most_yields) return false;
      ++tries;
      self.give_way();
      return true;
    }
    if (tries == most_looks) return false;
    has_room = (word & reserved) == 0 && !has_deferred && finds_room(lock);
    tries = has_room ? tries + 1 : most_looks;
    return has_room;
  }
  // Whether it goes on polling a calm lock.
  [[nodiscard]] bool spares_calm(const lock_core& lock, std::int64_t now) noexcept {
    if (self.is_thread() || is_awake_one || first_patience() == 0) return false;
    if (const std::uint32_t owner = last_owner(lock); owner != seen_owner) {
      seen_owner = owner;
      seen_since = now;
    }
    return now - seen_since < arm_patience && now - since < turn_length;
  }
  void become_awake_one(std::int64_t now) noexcept {
    is_awake_one = true;
    if (first_since == 0) first_since = now;
    poll_until = never_polls(type, self) ? now : now + self.spin_time();
  }
  [[nodiscard]] bool is_overtaken_too_long(std::int64_t now) const noexcept {
    return is_awake_one && now - first_since > turn_length;
  }
};

// The queue's part of the word, as the queue is now. Under the latch.
std::uint32_t lock_protocol::queue_flags(lock_core& lock) noexcept {
  const lock_queue queue(lock.queue_);
  const std::uint32_t readers = queue.readers();
  std::uint32_t flags = queue.is_empty() ? 0 : queued;
  if (readers != 0) flags |= readers_queued;
  if (readers != queue.size()) flags |= blocking;
  return flags;
}

waiter* lock_protocol::first_writer(lock_core& lock) noexcept {
  const lock_queue queue(lock.queue_);
  waiter* w = queue.front();
  while (w != nullptr && w->is_reader()) w = queue.after(*w);
  return w;
}

bool lock_protocol::lock_slow(lock_core& lock, const kind& kind, const wait_limit& limit, const void* object) noexcept {
  const attempt first = overtake(lock, kind);
  if (first == attempt::taken) return true;
  if (first == attempt::is_to_give_way) control::current().give_way();
  return lock_contended(lock, kind, limit, object);
}

bool lock_protocol::lock_contended(lock_core& lock, const kind& kind, const wait_limit& limit,
                                   const void* object) noexcept {
  contender me{.self = control::current(), .type = kind, .object = object};
  for (;;) {
    std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
    bool is_being_reused = false;
    if (is_free_for_writer(word, kind, me.is_awake_one) && !me.defers(word)) {
      std::uint32_t taken = word | held;
      if (me.is_awake_one) {
        taken &= ~(awake | reserved);
        if ((word & (queued | latched)) == 0) taken &= ~blocking;
        is_being_reused =
            (word & reserved) == 0 && me.is_poller() && !me.has_expired && !stays_free(lock.state_, close_looks);
      } else if ((word & awake) != 0 && !may_overtake(lock, kind, me.self.token(), me.has_room)) {
        if (end_turn(lock, word) == attempt::is_to_give_way) {
          me.self.give_way();
        } else {
          me.has_deferred = !me.self.is_thread();
        }
        continue;
      }
      if (!is_being_reused) {
        // order: acquire -- pairs with the releases of unlock: what the last holder did is seen.
        if (lock.state_.compare_exchange_weak(word, taken, std::memory_order_acquire, std::memory_order_relaxed)) {
          set_owner(lock, me.self.token());
          if (me.since != 0) begin_turn(lock, me.self.token());
          me.end_deferring(lock, true);
          return true;
        }
        continue;
      }
      word = lock.state_.load(std::memory_order_relaxed);
    }
    if ((word & kind.idle) != kind.idle) {  // spread, so maybe free
      arm(lock, kind);
      continue;
    }

    const std::int64_t now = platform::now();
    if (me.has_expired || has_ended(limit, now)) {
      if (me.is_awake_one) {
        latch_armed(lock, kind);
        settle(lock, awake | reserved);
      }
      return false;
    }
    if (me.gives_way(lock, word, now)) continue;
    if (me.since == 0) {
      me.since = now;
      me.poll_until = now + me.first_patience();
    }

    if (me.tries_again(lock, word)) continue;
    if (kind.has_readers() && !me.is_awake_one && me.is_poller() && me.polite.wait(me.self, now)) continue;
    // The awake waiter polls for as long as a sleep and a wake would cost, and longer while it sees the lock being passed
    // around; before that, everyone a little.
    if (is_being_reused) me.poll_until = now + me.self.spin_time();
    if (now < me.poll_until && (me.is_awake_one || me.has_deferred || (word & (awake | queued)) == 0)) {
      if (me.is_overtaken_too_long(now)) reserve(lock, kind);
      me.backoff.wait();
      continue;
    }
    if ((word & armed) == 0) {
      if (me.spares_calm(lock, now)) {
        me.backoff.wait();
      } else {
        arm(lock, kind);
      }
      continue;
    }
    if (!me.is_awake_one && (word & (awake | queued | latched)) == 0 && me.is_poller()) {
      if (lock.state_.compare_exchange_strong(word, word | awake | blocking, std::memory_order_relaxed)) {
        me.become_awake_one(now);
      }
      continue;
    }
    if (!sleep_as_writer(lock, me, limit)) return false;
  }
}

// Queues up and sleeps until it is woken as the awake one (true), or its limit ends (false). Also true, without having
// slept, if the lock has become free.
bool lock_protocol::sleep_as_writer(lock_core& lock, contender& me, const wait_limit& limit) noexcept {
  waiter w(me.type.why, me.object);
  w.request = static_cast<std::uint64_t>(me.since);
  if (!enqueue_writer(lock, w, me)) return true;
  leave_turn(lock);
  me.is_awake_one = false;
  {
    const parking::lock_wait_scope scope(me.self, w, &lock, limit.is_unlimited());
    if (!w.wait(limit)) {
      if (withdraw(lock, me.type, w)) return false;
      w.await_signal();
      me.has_expired = true;
    }
  }
  const std::int64_t now = platform::now();
  me.since = now;
  me.become_awake_one(now);
  me.backoff.reset();
  if (me.is_overtaken_too_long(now)) reserve(lock, me.type);
  return true;
}

// False if the lock is free for the caller; then it is not queued, and keeps the awake bit if it had it.
bool lock_protocol::enqueue_writer(lock_core& lock, waiter& w, const contender& me) noexcept {
  std::uint32_t word = latch_armed(lock, me.type);
  lock_queue queue(lock.queue_);
  if (me.is_awake_one) {
    queue.push_front(w);  // it was first before
  } else {
    queue.push_back(w);
  }
  for (;;) {
    // The latch does not keep others from freeing the lock, and one that saw awake will not look at the queue: the change
    // of the word below must be the one that says both "queued" and "not awake".
    // A free lock with somebody awake is not forgotten, so one that defers may queue up (invariant W).
    const bool is_for_us = is_free_for_writer(word, me.type, me.is_awake_one) && !me.defers(word);
    if (is_for_us) {
      queue.remove(w);
      lock.state_.fetch_and(~latched, std::memory_order_release);
      return false;
    }
    std::uint32_t next = (word & ~latched) | queued | blocking;
    if (me.is_awake_one) next &= ~awake;
    // order: release -- pairs with the acquire in latch_armed(): the queue as it is now.
    if (lock.state_.compare_exchange_weak(word, next, std::memory_order_release, std::memory_order_relaxed))
      return true;
  }
}

// A waiter whose limit has ended leaves the queue (true), unless somebody has taken it out to wake it (false).
bool lock_protocol::withdraw(lock_core& lock, const kind& kind, waiter& w) noexcept {
  latch_armed(lock, kind);
  lock_queue queue(lock.queue_);
  if (!lock_queue::is_queued(w)) {
    lock.state_.fetch_and(~latched, std::memory_order_release);
    return false;
  }
  contention::leave(queue, w);
  settle(lock, 0);
  return true;
}

// Under the latch, after a waiter has left the queue or gives up the bits `give_up`: brings the flags up to date, lets
// in or wakes whom nothing holds back any more (invariants W and R), and lets go of the latch.
void lock_protocol::settle(lock_core& lock, std::uint32_t give_up) noexcept {
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint32_t flags = queue_flags(lock);
    std::uint32_t next = (word & ~(latched | queued | readers_queued | blocking | give_up)) | flags;
    if ((next & awake) != 0) next |= blocking;
    // For a writer only: were it left with readers in the queue, it would be there when they have gone.
    if ((next & blocking) == 0) next &= ~reserved;
    if ((next & readers_queued) != 0 && (next & (held | blocking)) == 0) {
      // Readers only, and nothing to wait for. They take the lock first, under the latch; then the queue follows.
      // order: acquire -- they take it in the place of the waiting call, which pairs with the releases of unlock.
      const std::uint32_t kept = (next & ~(queued | readers_queued)) | latched | queued | readers_queued;
      if (!lock.state_.compare_exchange_weak(word, kept, std::memory_order_acquire, std::memory_order_relaxed))
        continue;
      admit_readers(lock);
      return;
    }
    waiter* writer = nullptr;
    if ((flags & blocking) != 0 && (next & (held | awake)) == 0 && next < reader) {
      writer = first_writer(lock);  // free, and nobody awake
      contention::leave(lock_queue(lock.queue_), *writer);
      next &= ~(queued | readers_queued);
      next |= queue_flags(lock) | awake | blocking;
    }
    // order: release -- pairs with the acquire in latch_armed().
    if (lock.state_.compare_exchange_weak(word, next, std::memory_order_release, std::memory_order_relaxed)) {
      if (writer == nullptr) return;
      contention delay;
      delay.add(*writer);
      writer->signal();
      delay.charge();
      return;
    }
    if (writer != nullptr) lock_queue(lock.queue_).push_front(*writer);
  }
}

// Frees the lock if nobody is to be woken: nobody waits, or the awake one is on its way.
bool lock_protocol::release_quickly(lock_core& lock, const kind& kind) noexcept {
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & held) == 0) platform::fatal(kind.unlock_of_unlocked);
    if ((word & queued) != 0 && (word & (awake | readers_queued)) != awake) return false;
    std::uint32_t next = word & ~held;
    // The awake one that took the lock while somebody had the latch could not tell whether to clear `blocking`.
    if ((word & (awake | queued)) == 0) next &= ~blocking;
    if ((word & (armed | arming)) == 0 && platform::has_rseq.load(std::memory_order_relaxed)) {
      if (platform::restartable_store(lock.state_, word, next)) return true;
      word = lock.state_.load(std::memory_order_relaxed);
      continue;
    }
    if (!kind.has_readers() && (word & (armed | latched)) == armed && is_time_to_disarm()) next &= ~armed;
    // order: release -- pairs with the acquires of lock.
    if (lock.state_.compare_exchange_weak(word, next, std::memory_order_release, std::memory_order_relaxed))
      return true;
  }
}

// Frees the lock, which somebody waits for, and wakes who is next; unless that is not so any more.
void lock_protocol::release_and_wake(lock_core& lock, const kind& kind) noexcept {
  parking::latch_backoff backoff;
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & queued) == 0 || (word & (awake | readers_queued)) == awake) {
      if (release_quickly(lock, kind)) return;
      word = lock.state_.load(std::memory_order_relaxed);
    } else if (latch_or_wait(lock, word, backoff)) {
      break;
    }
  }

  // Frozen (invariant Z).
  lock_queue queue(lock.queue_);
  parking::wake_list leaving;
  contention delay;
  delay.before(queue);
  std::uint32_t next = word & ~(held | latched | queued | readers_queued | blocking);
  if ((word & readers_queued) != 0) {
    for (waiter* w = queue.front(); queue.readers() != 0;) {
      waiter* const behind = queue.after(*w);
      if (w->is_reader()) {
        queue.remove(*w);
        leaving.push_back(*w);
        w->let_in();
        next += reader;
      }
      w = behind;
    }
  } else {
    leaving.push_back(*queue.pop_front());
    next |= awake;
  }
  delay.after(queue);
  next |= queue_flags(lock);
  if ((next & awake) != 0) next |= blocking;
  // order: release -- pairs with the acquires of lock, lock_shared and latch_armed(). The lock may be gone after this line.
  lock.state_.store(next, std::memory_order_release);
  leaving.signal_all();
  delay.charge();
}

}  // namespace turnkey
