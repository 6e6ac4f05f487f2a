// turnkey/mutex.hpp -- mutual exclusion for goroutines and threads alike.
//
//   turnkey::mutex mu;              // guards balance
//   std::scoped_lock hold(mu);
//   balance += amount;
//
// Go: sync.Mutex. std: a std::timed_mutex that goroutines can wait for, and that any thread of control may unlock.
//
// Guarantees
//   Order: what was done before unlock() is seen after the next lock().
//   Fairness: a newcomer may overtake a woken waiter, because that is faster. A waiter overtaken for more than 1 ms
//     gets the mutex next.
//   Lifetime: may be destroyed as soon as the last call on it has returned; a thread that locked it after another's
//     unlock() may unlock and destroy it even while that unlock() is still returning.
//   Cost: lock() and unlock() uncontended are one atomic read-modify-write and one plain store (two
//     read-modify-writes where the kernel has no restartable sequences). 16 bytes. No allocation, ever.
// Misuse ends the program, in every build: "fatal error: sync: unlock of unlocked mutex".
// Locking a mutex that one already holds blocks for ever: mutexes are not re-entrant. It is reported as a lock cycle of one;
// see diagnostics.hpp.
#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include <turnkey/lock_core.hpp>
#include <turnkey/wait_limit.hpp>

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

// A lock that one thread of control holds at a time. Meets Lockable and TimedLockable.
// All members may be called from goroutines and from OS threads, at any time, concurrently.
class [[clang::capability("mutex")]] mutex {
 public:
  constexpr mutex() noexcept : core_(0) {}
  mutex(const mutex&) = delete;             // a lock cannot be copied: the copy would guard nothing
  mutex& operator=(const mutex&) = delete;  // a lock cannot be copied: this one would forget its waiters

  // Waits until the mutex is free and takes it. A goroutine that waits gives its worker to another one; an OS thread
  // sleeps. Go: Lock.
  [[clang::acquire_capability()]] void lock() noexcept;

  // Releases the mutex, by whomever it was locked. Never blocks. Ends the program if the mutex is not locked. Go: Unlock.
  [[gnu::always_inline, clang::release_capability()]] void unlock() noexcept {
    do_unlock();
    asm volatile("");  // no tail call, else a stack would not show the function whose last act this is: most guards' is
  }

  // Takes the mutex if it is free at this moment, also past waiters unless one of them is due. Never blocks, never
  // fails spuriously. A failure orders nothing. Go: TryLock.
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock() noexcept;

  // Waits no longer than `period`; true if it took the mutex. Tries once even if `period` is not positive. Go: nothing.
  template <class Rep, class Period>
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock_for(
      const std::chrono::duration<Rep, Period>& period) {
    return lock_within(wait_limit::after(period));
  }

  // Waits no longer than until `when`; true if it took the mutex. Tries once even if `when` has passed.
  template <class Clock, class Duration>
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock_until(
      const std::chrono::time_point<Clock, Duration>& when) {
    return lock_within(wait_limit::until(when));
  }

  // Waits until it has the mutex (true) or a stop is requested (false). False at once if the stop was requested before.
  // With a token that can never be stopped this is lock(). Go: nothing.
  [[nodiscard, clang::try_acquire_capability(true)]] bool lock(std::stop_token token) {
    if (!token.stop_possible()) return lock_within(wait_limit());
    stop_watch watch(std::move(token));
    return !watch.is_raised() && lock_within(wait_limit::stopped_by(watch));
  }

 private:
  friend class map_key_locks;  // waits with a wait_limit

  [[clang::no_thread_safety_analysis]] void do_unlock() noexcept;
  bool lock_within(const wait_limit& limit) noexcept;

  lock_core core_;
};

static_assert(sizeof(mutex) <= 16);

}  // namespace turnkey

#pragma GCC diagnostic pop
