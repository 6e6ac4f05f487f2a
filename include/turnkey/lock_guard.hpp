// turnkey/lock_guard.hpp -- scoped locks that Clang's thread-safety analysis understands.
//
//   turnkey::mutex mu;
//   int balance __attribute__((guarded_by(mu)));
//   turnkey::lock_guard hold(mu);
//   balance += amount;               // without the guard, -Wthread-safety warns here
//
// They do what their std namesakes do, with two differences: they cannot be moved, which the analysis could not follow, and
// they have no timed or stoppable forms. Use std's if you do not compile with -Wthread-safety: they work as well.
// GCC does not know guarded_by, and says so; -Wno-attributes silences it.
//
// Any Lockable will do for a `Mutex`. What blocks, for how long, and what is ordered is the mutex's; what it throws comes
// through (turnkey's throw nothing). Cost: the mutex's, and nothing. A guard belongs to one thread of control at a time; it is
// not itself synchronised. It must not outlive its mutex. Go: mu.Lock(), defer mu.Unlock().
#pragma once

#include <mutex>  // std::adopt_lock_t and its siblings
#include <system_error>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

// Version 14 of clang-format takes the & in front of an attribute for an operator.
// clang-format off

// Holds `Mutex` from construction to destruction. Blocks in its constructor as lock() does; with std::adopt_lock the caller
// has it already.
template <class Mutex>
class [[nodiscard, clang::scoped_lockable]] lock_guard {
 public:
  using mutex_type = Mutex;
  explicit lock_guard(Mutex& lockable) __attribute__((acquire_capability(lockable)));
  lock_guard(Mutex& lockable, std::adopt_lock_t) __attribute__((requires_capability(lockable)));
  [[clang::release_capability()]] ~lock_guard();
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  Mutex& mu_;
};

// Holds `Mutex` for writing, may let go of it and take it again. Destruction releases what it still holds. With
// std::adopt_lock the caller has it already, with std::defer_lock it is not locked yet.
// Misuse throws std::system_error, as std::unique_lock does: lock() or try_lock() while held, with
// std::errc::resource_deadlock_would_occur; unlock() while not, with std::errc::operation_not_permitted.
template <class Mutex>
class [[nodiscard, clang::scoped_lockable]] unique_lock {
 public:
  using mutex_type = Mutex;
  explicit unique_lock(Mutex& lockable) __attribute__((acquire_capability(lockable)));
  unique_lock(Mutex& lockable, std::defer_lock_t) noexcept __attribute__((locks_excluded(lockable)));
  unique_lock(Mutex& lockable, std::adopt_lock_t) __attribute__((requires_capability(lockable)));
  [[clang::release_capability()]] ~unique_lock();
  unique_lock(const unique_lock&) = delete;
  unique_lock& operator=(const unique_lock&) = delete;

  // As the mutex's own: lock() waits, the others never do.
  [[clang::acquire_capability()]] void lock();
  [[nodiscard, clang::try_acquire_capability(true)]] bool try_lock();
  [[clang::release_capability()]] void unlock();
  [[nodiscard]] bool owns_lock() const noexcept { return owns_; }
  explicit operator bool() const noexcept { return owns_; }
  [[nodiscard]] Mutex* mutex() const noexcept { return mu_; }

 private:
  Mutex* mu_;
  bool owns_;
};

// Holds `Mutex` for reading, by lock_shared() and its siblings; otherwise as unique_lock.
template <class Mutex>
class [[nodiscard, clang::scoped_lockable]] shared_lock {
 public:
  using mutex_type = Mutex;
  explicit shared_lock(Mutex& lockable) __attribute__((acquire_shared_capability(lockable)));
  shared_lock(Mutex& lockable, std::defer_lock_t) noexcept __attribute__((locks_excluded(lockable)));
  shared_lock(Mutex& lockable, std::adopt_lock_t) __attribute__((requires_shared_capability(lockable)));
  [[clang::release_capability()]] ~shared_lock();
  shared_lock(const shared_lock&) = delete;
  shared_lock& operator=(const shared_lock&) = delete;

  [[clang::acquire_shared_capability()]] void lock();
  [[nodiscard, clang::try_acquire_shared_capability(true)]] bool try_lock();
  [[clang::release_capability()]] void unlock();
  [[nodiscard]] bool owns_lock() const noexcept { return owns_; }
  explicit operator bool() const noexcept { return owns_; }
  [[nodiscard]] Mutex* mutex() const noexcept { return mu_; }

 private:
  Mutex* mu_;
  bool owns_;
};

// clang-format on

// The bodies are exempt from the analysis, which cannot follow a lock that a member remembers.

template <class Mutex>
lock_guard<Mutex>::lock_guard(Mutex& lockable) : mu_(lockable) {
  mu_.lock();
}
template <class Mutex>
lock_guard<Mutex>::lock_guard(Mutex& lockable, std::adopt_lock_t) : mu_(lockable) {}
template <class Mutex>
lock_guard<Mutex>::~lock_guard() {
  mu_.unlock();
}

template <class Mutex>
[[clang::no_thread_safety_analysis]] unique_lock<Mutex>::unique_lock(Mutex& lockable) : mu_(&lockable), owns_(true) {
  lockable.lock();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] unique_lock<Mutex>::unique_lock(Mutex& lockable, std::defer_lock_t) noexcept
    : mu_(&lockable), owns_(false) {}
template <class Mutex>
[[clang::no_thread_safety_analysis]] unique_lock<Mutex>::unique_lock(Mutex& lockable, std::adopt_lock_t)
    : mu_(&lockable), owns_(true) {}
template <class Mutex>
[[clang::no_thread_safety_analysis]] unique_lock<Mutex>::~unique_lock() {
  if (owns_) mu_->unlock();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] void unique_lock<Mutex>::lock() {
  if (owns_) throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur));
  mu_->lock();
  owns_ = true;
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] bool unique_lock<Mutex>::try_lock() {
  if (owns_) throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur));
  return owns_ = mu_->try_lock();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] void unique_lock<Mutex>::unlock() {
  if (!owns_) throw std::system_error(std::make_error_code(std::errc::operation_not_permitted));
  owns_ = false;
  mu_->unlock();
}

template <class Mutex>
[[clang::no_thread_safety_analysis]] shared_lock<Mutex>::shared_lock(Mutex& lockable) : mu_(&lockable), owns_(true) {
  lockable.lock_shared();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] shared_lock<Mutex>::shared_lock(Mutex& lockable, std::defer_lock_t) noexcept
    : mu_(&lockable), owns_(false) {}
template <class Mutex>
[[clang::no_thread_safety_analysis]] shared_lock<Mutex>::shared_lock(Mutex& lockable, std::adopt_lock_t)
    : mu_(&lockable), owns_(true) {}
template <class Mutex>
[[clang::no_thread_safety_analysis]] shared_lock<Mutex>::~shared_lock() {
  if (owns_) mu_->unlock_shared();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] void shared_lock<Mutex>::lock() {
  if (owns_) throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur));
  mu_->lock_shared();
  owns_ = true;
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] bool shared_lock<Mutex>::try_lock() {
  if (owns_) throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur));
  return owns_ = mu_->try_lock_shared();
}
template <class Mutex>
[[clang::no_thread_safety_analysis]] void shared_lock<Mutex>::unlock() {
  if (!owns_) throw std::system_error(std::make_error_code(std::errc::operation_not_permitted));
  owns_ = false;
  mu_->unlock_shared();
}

}  // namespace turnkey

#pragma GCC diagnostic pop
