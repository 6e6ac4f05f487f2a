// turnkey/guarded_scope.hpp -- what guarded's lock() and wait() return, and the part of it that knows about mutexes.
//
//   auto p = g.lock();       // holds g's lock until p goes
//   p->push_back(1);
//   *p = {};
#pragma once

#include <chrono>
#include <concepts>
#include <stdexcept>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace turnkey {

// Holds a guarded's lock and gives access to what is in it; T is const for reading. Moved, not copied; the one that was
// moved from, and what a try form returns that did not get the lock, is false and throws std::logic_error when used.
// As the lock itself, it may be passed on to another thread of control. It must not outlive the guarded.
template <class Guarded, class T>
class guarded_scope {
 public:
  guarded_scope(guarded_scope&& other) noexcept : guarded_(std::exchange(other.guarded_, nullptr)) {}
  guarded_scope& operator=(guarded_scope&& other) noexcept {
    guarded_scope before(std::move(*this));
    guarded_ = std::exchange(other.guarded_, nullptr);
    return *this;
  }
  ~guarded_scope() { unlock(); }

  // Whether it holds the lock.
  [[nodiscard]] explicit operator bool() const noexcept { return guarded_ != nullptr; }
  // Gives the lock back now.
  void unlock() noexcept {
    if (guarded_ != nullptr) std::exchange(guarded_, nullptr)->unlock(static_cast<T*>(nullptr));
  }

  [[nodiscard]] T* operator->() const { return &value(); }
  [[nodiscard]] T& operator*() const& { return value(); }
  // `*g.lock()`: the scope goes at the end of the line, and a reference would dangle. So this is a copy, and a const one, so
  // that nobody assigns to it by mistake.
  // NOLINTNEXTLINE(readability-const-return-type)
  [[nodiscard]] const std::remove_const_t<T> operator*() const&& {
    static_assert(std::copy_constructible<std::remove_const_t<T>>,
                  "guarded: this scope ends with the line; give it a name first (auto p = g.lock(); use(*p);)");
    return value();
  }

 private:
  friend Guarded;
  friend struct guarded_access;
  explicit guarded_scope(std::conditional_t<std::is_const_v<T>, const Guarded, Guarded>* locked) noexcept
      : guarded_(locked) {}

  T& value() const {
    if (guarded_ == nullptr) [[unlikely]]
      throw std::logic_error("turnkey::guarded: the scope does not hold the lock");
    return guarded_->value_;
  }

  std::conditional_t<std::is_const_v<T>, const Guarded, Guarded>* guarded_;
};

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

template <class Mutex>
concept shared_lockable = requires(Mutex& mu) {
  mu.lock_shared();
  mu.unlock_shared();
};

// The side of a mutex that readers lock, as a Lockable: the shared one if there is one.
template <class Mutex>
class read_side {
 public:
  explicit read_side(Mutex& mu) noexcept : mu_(mu) {}

  [[clang::no_thread_safety_analysis]] void lock() {
    if constexpr (shared_lockable<Mutex>) {
      mu_.lock_shared();
    } else {
      mu_.lock();
    }
  }
  [[clang::no_thread_safety_analysis]] void unlock() {
    if constexpr (shared_lockable<Mutex>) {
      mu_.unlock_shared();
    } else {
      mu_.unlock();
    }
  }
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock() {
    if constexpr (shared_lockable<Mutex>) {
      return mu_.try_lock_shared();
    } else {
      return mu_.try_lock();
    }
  }
  template <class Rep, class Period>
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock_for(const std::chrono::duration<Rep, Period>& period) {
    if constexpr (shared_lockable<Mutex>) {
      return mu_.try_lock_shared_for(period);
    } else {
      return mu_.try_lock_for(period);
    }
  }
  template <class Clock, class Duration>
  [[nodiscard, clang::no_thread_safety_analysis]] bool try_lock_until(
      const std::chrono::time_point<Clock, Duration>& when) {
    if constexpr (shared_lockable<Mutex>) {
      return mu_.try_lock_shared_until(when);
    } else {
      return mu_.try_lock_until(when);
    }
  }
  [[nodiscard, clang::no_thread_safety_analysis]] bool lock(std::stop_token token) {
    if constexpr (shared_lockable<Mutex>) {
      return mu_.lock_shared(std::move(token));
    } else {
      return mu_.lock(std::move(token));
    }
  }

 private:
  Mutex& mu_;
};

#pragma GCC diagnostic pop

}  // namespace turnkey
