// turnkey/condition_variable.hpp -- wait until someone says that something has changed.
//
//   std::unique_lock hold(mu);
//   changed.wait(hold, [&] { return ready; });    // elsewhere: { lock; ready = true; } changed.notify_one();
//
// Go: sync.Cond. std: std::condition_variable_any, but first come, first woken, and never woken for nothing.
//
// Guarantees
//   notify_one() wakes the one that has waited longest; a later waiter can not steal the wake. notify_all() wakes all
//   that wait at that moment, and no later ones. A notify that finds nobody is not remembered.
//   Order: what was done before a notify is seen by the wait that it wakes (besides what the lock orders).
//   Lifetime: may be destroyed as soon as every wait has returned, even while the notify is still returning.
//   Works with any BasicLockable: turnkey's and std's locks and guards.
//   Cost: a notify that finds nobody is one load. 16 bytes. No allocation.
// A wait gives up the lock and takes it back, also when it ends by time, by a stop or by an exception.
// Misuse: waiting with a lock that one does not hold is its own unlock()'s misuse: fatal for turnkey::mutex, a
// std::system_error for std::unique_lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>  // std::cv_status
#include <cstdint>
#include <stop_token>
#include <utility>

#include <turnkey/wait_limit.hpp>

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

namespace parking {
class waiter;
}

// All members may be called from goroutines and OS threads. The waits that share a condition_variable may use
// different locks.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;             // cannot be copied: nobody would notify the copy
  condition_variable& operator=(const condition_variable&) = delete;  // cannot be copied

  // Wakes the longest waiter. The lock need not be held. Never blocks. Go: Signal.
  void notify_one() noexcept;
  // Wakes everyone who waits now. Never blocks. Go: Broadcast.
  void notify_all() noexcept;

  // Unlocks `lock`, waits for a notify, locks it again. `lock` must be held. Throws what its lock() and unlock() throw. Go:
  // Wait.
  template <class Lock>
  void wait(Lock& lock) {
    wait_within(wait_limit(), lock);
  }
  // Waits until pred() is true; pred is called with the lock held.
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate pred) {
    while (!pred()) wait(lock);
  }

  // The same with an end: std::cv_status::timeout if it was the time that ended it; with a predicate, what pred()
  // says at the end, and pred() is asked first. Without one, a time that has passed gives up the lock for a moment all the
  // same. Go: nothing.
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& period) {
    return status(wait_within(wait_limit::after(period), lock));
  }
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when) {
    return status(wait_within(wait_limit::until(when), lock));
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& period, Predicate pred) {
    return wait_within(wait_limit::after(period), lock, pred);
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& when, Predicate pred) {
    return wait_within(wait_limit::until(when), lock, pred);
  }

  // The same until a stop is requested: what pred() says at the end. As std::condition_variable_any. Go: nothing.
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token token, Predicate pred) {
    if (!token.stop_possible()) return wait_within(wait_limit(), lock, pred);
    stop_watch watch(std::move(token));
    return wait_within(wait_limit::stopped_by(watch), lock, pred);
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::stop_token token, const std::chrono::duration<Rep, Period>& period, Predicate pred) {
    stop_watch watch(std::move(token));
    return wait_within(wait_limit::after(period).or_stopped_by(watch), lock, pred);
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::stop_token token, const std::chrono::time_point<Clock, Duration>& when,
                  Predicate pred) {
    stop_watch watch(std::move(token));
    return wait_within(wait_limit::until(when).or_stopped_by(watch), lock, pred);
  }

 private:
  // A lock of unknown type, for the part that is not a template.
  struct any_lock {
    void* object;
    void (*lock)(void*);
    void (*unlock)(void*);
  };

  static std::cv_status status(bool notified) noexcept {
    return notified ? std::cv_status::no_timeout : std::cv_status::timeout;
  }

  template <class Lock>
  bool wait_within(const wait_limit& limit, Lock& lock) {
    return wait_unlocked(limit, any_lock{&lock, lock_as<Lock>, unlock_as<Lock>});
  }
  template <class Lock>
  [[clang::no_thread_safety_analysis]] static void lock_as(void* held) {
    static_cast<Lock*>(held)->lock();
  }
  template <class Lock>
  [[clang::no_thread_safety_analysis]] static void unlock_as(void* held) {
    static_cast<Lock*>(held)->unlock();
  }
  template <class Lock, class Predicate>
  bool wait_within(const wait_limit& limit, Lock& lock, Predicate& pred) {
    while (!pred()) {
      if ((limit.watch() != nullptr && limit.watch()->is_raised()) || !wait_within(limit, lock)) return pred();
    }
    return true;
  }
  // True: notified. False: the limit ended it.
  bool wait_unlocked(const wait_limit& limit, const any_lock& lock);
  bool withdraw(parking::waiter& self) noexcept;

  std::atomic<std::uint32_t> state_{0};
  parking::waiter* queue_ = nullptr;
};

}  // namespace turnkey

#pragma GCC diagnostic pop
