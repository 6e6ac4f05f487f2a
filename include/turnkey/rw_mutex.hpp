// turnkey/rw_mutex.hpp -- many readers or one writer, goroutines and threads alike.
//
//   turnkey::rw_mutex mu;                   // guards table
//   { std::shared_lock look(mu);  use(table.at(key)); }
//   { std::scoped_lock change(mu); table[key] = value; }
//
// Go: sync.RWMutex. std: std::shared_timed_mutex.
//
// Guarantees
//   Order: what was done before unlock() is seen after the next lock() or lock_shared(); what was done before
//     unlock_shared() is seen after the next lock(). Readers are not ordered among each other.
//   Fairness: a waiting writer holds back new readers. The readers that waited while it wrote go before the next
//     writer. Among writers the rules of turnkey::mutex hold. An OS thread first tries again and again, for 50 us of its
//     own time and at most 1 ms; it waits, in the sense of this, from then on. A goroutine does at once to read; to
//     write, after it has let others run, ten times and for 1 ms at most.
//     So a reader that locks again while a writer waits blocks for ever: read locks are not re-entrant either. Nor can a read
//     lock be made a write lock: lock() waits for its own reader. Both are reported as lock cycles; see diagnostics.hpp.
//   Lifetime: as turnkey::mutex.
//   Cost: a lock that is read often and not written counts its readers on each CPU: then lock_shared() and unlock_shared()
//     are some 30 instructions each, none of them atomic, and readers do not disturb each other. The first lock() after
//     that takes 10 to 20 us; it happens ever more rarely, once in a second in the end, to a lock that is written all the
//     time. Else each call, uncontended, is one atomic read-modify-write. 16 bytes. No allocation, ever.
//   At most 8,388,607 readers at once; one more ends the program with "fatal error: sync: too many readers".
// Misuse ends the program, in every build: "fatal error: sync: Unlock of unlocked RWMutex" if nobody writes, also if somebody
// reads; "fatal error: sync: RUnlock of unlocked RWMutex" if nobody reads. One unlock_shared() too many while others read
// ends the reading of one of those.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <utility>

#include <turnkey/lock_core.hpp>
#include <turnkey/wait_limit.hpp>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

// A lock that one writer or any number of readers hold. Meets SharedTimedLockable and TimedLockable.
// All members may be called from goroutines and from OS threads, at any time, concurrently.
class [[clang::capability("rw_mutex")]] rw_mutex {
 public:
  constexpr rw_mutex() noexcept : core_(idle) {}
  // Nobody may have it or wait for it. In static storage it may be used afterwards all the same.
  ~rw_mutex() {
    if ((core_.state_.load(std::memory_order_relaxed) & idle) == 0) gather_readers();
  }
  rw_mutex(const rw_mutex&) = delete;             // a lock cannot be copied: the copy would guard nothing
  rw_mutex& operator=(const rw_mutex&) = delete;  // a lock cannot be copied: this one would forget its waiters

  // Waits until there is no writer and no reader, and takes the lock for writing. Go: Lock.
  [[clang::acquire_capability()]] void lock() noexcept;
  // Ends writing, by whomever it was begun; lets in every reader that waits, else the next writer. Never blocks. Ends the
  // program if nobody writes. Go: Unlock.
  [[gnu::always_inline, clang::release_capability()]] void unlock() noexcept {
    do_unlock();
    asm volatile("");  // no tail call, else a stack would not show the function whose last act this is: most guards' is
  }
  // Takes the lock for writing if nobody has it at this moment. Never blocks, never fails spuriously. Go: TryLock.
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock() noexcept;

  // lock() that gives up after `period`, at `when`, or when a stop is requested; true if it took the lock.
  // A period or time that has passed still tries once; a stop that was requested before does not. Go: nothing.
  template <class Rep, class Period>
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock_for(
      const std::chrono::duration<Rep, Period>& period) {
    return lock_within(wait_limit::after(period));
  }
  template <class Clock, class Duration>
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock_until(
      const std::chrono::time_point<Clock, Duration>& when) {
    return lock_within(wait_limit::until(when));
  }
  [[nodiscard, clang::try_acquire_capability(true)]] bool lock(std::stop_token token) {
    if (!token.stop_possible()) return lock_within(wait_limit());
    stop_watch watch(std::move(token));
    return !watch.is_raised() && lock_within(wait_limit::stopped_by(watch));
  }

  // Waits until no writer has the lock or waits for it, and takes it for reading, beside other readers. Go: RLock.
  [[clang::acquire_shared_capability()]] void lock_shared() noexcept;
  // Ends reading, by whomever it was begun. Never blocks. Ends the program if nobody reads. Go: RUnlock.
  [[gnu::always_inline, clang::release_shared_capability()]] void unlock_shared() noexcept {
    do_unlock_shared();
    asm volatile("");  // as above
  }
  // Takes the lock for reading if no writer has it or waits for it. Never blocks, never fails spuriously. Go: TryRLock.
  [[nodiscard, clang::try_acquire_shared_capability(true)]] bool try_lock_shared() noexcept;

  // lock_shared() that gives up, as the forms of lock() above.
  template <class Rep, class Period>
  [[nodiscard, clang::try_acquire_shared_capability(true)]] bool try_lock_shared_for(
      const std::chrono::duration<Rep, Period>& period) {
    return lock_shared_within(wait_limit::after(period));
  }
  template <class Clock, class Duration>
  [[nodiscard, clang::try_acquire_shared_capability(true)]] bool try_lock_shared_until(
      const std::chrono::time_point<Clock, Duration>& when) {
    return lock_shared_within(wait_limit::until(when));
  }
  [[nodiscard, clang::try_acquire_shared_capability(true)]] bool lock_shared(std::stop_token token) {
    if (!token.stop_possible()) return lock_shared_within(wait_limit());
    stop_watch watch(std::move(token));
    return !watch.is_raised() && lock_shared_within(wait_limit::stopped_by(watch));
  }

 private:
  [[clang::no_thread_safety_analysis]] void do_unlock() noexcept;
  [[clang::no_thread_safety_analysis]] void do_unlock_shared() noexcept;

  static constexpr std::uint32_t idle = 4;  // lock_protocol::armed
  void lock_shared_disputed() noexcept;
  void unlock_shared_disputed() noexcept;
  void gather_readers() noexcept;
  bool lock_within(const wait_limit& limit) noexcept;
  bool lock_shared_within(const wait_limit& limit) noexcept;

  lock_core core_;
};

static_assert(sizeof(rw_mutex) <= 32);

// The read side of an rw_mutex as a Lockable of its own: lock() is lock_shared(), and so on. Copies refer to the same rw_mutex,
// which must outlive them. Unknown to Clang's analysis, which has no name for what it locks. Cost: a pointer. Go: RLocker.
class reader {
 public:
  explicit reader(rw_mutex& mu) noexcept : mu_(&mu) {}
  [[clang::no_thread_safety_analysis]] void lock() noexcept { mu_->lock_shared(); }
  [[clang::no_thread_safety_analysis]] void unlock() noexcept { mu_->unlock_shared(); }
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock() noexcept { return mu_->try_lock_shared(); }
  template <class Rep, class Period>
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock_for(const std::chrono::duration<Rep, Period>& period) {
    return mu_->try_lock_shared_for(period);
  }
  template <class Clock, class Duration>
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock_until(
      const std::chrono::time_point<Clock, Duration>& when) {
    return mu_->try_lock_shared_until(when);
  }
  [[nodiscard, clang::no_thread_safety_analysis]] bool lock(std::stop_token token) {
    return mu_->lock_shared(std::move(token));
  }

 private:
  rw_mutex* mu_;
};

}  // namespace turnkey

#pragma GCC diagnostic pop
