// turnkey/guarded_core.hpp -- what guarded is made of: the side of a mutex that readers lock, the line of those who wait for
// a value, and what with_all() may do. Not for direct use: see guarded.hpp.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>  // std::lock
#include <stop_token>
#include <utility>

#include <turnkey/condition_variable.hpp>

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

template <class T, class Mutex>
class guarded;

// Whether readers can share the mutex.
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

// Those who wait for a guarded's value to be as they want it, in the order in which they came. All of it is guarded by the
// mutex; the members are called by who holds that.
//
// Invariant: when the mutex is given back after writing, and some condition in the line is true, one of those has been
// called. It will have the mutex, find its condition true or get in line again, and see to the next when it gives it back.
// So each wakes one at most, and nobody who would find its condition false.
template <class T>
class guarded_line {
 public:
  // One that waits, on its own stack. In line until it is called or gives up.
  struct caller {
    bool (*is_true)(void* pred, const T& value) noexcept;
    void* pred;
    caller* next = nullptr;
    bool has_been_called = false;
    condition_variable called;
  };

  // A caller's is_true.
  template <class Pred>
  static bool is_true(void* pred, const T& value) noexcept {
    try {
      return std::invoke(*static_cast<Pred*>(pred), value);
    } catch (...) {
      return true;  // it goes to whoever waits: that one calls it again
    }
  }

  // Being in line. The wait may end by an exception, of the mutex or of a predicate: hence a destructor.
  class place {
   public:
    // At its end; or, for one that was there already, at its head.
    place(guarded_line& line, caller& self, bool is_first) noexcept : line_(line), self_(self) {
      caller** at = &line.first_;
      while (is_first && *at != nullptr) at = &(*at)->next;
      self.next = std::exchange(*at, &self);
    }
    ~place() {
      if (self_.has_been_called) return;
      caller** at = &line_.first_;
      while (*at != &self_) at = &(*at)->next;
      *at = self_.next;
    }
    place(const place&) = delete;
    place& operator=(const place&) = delete;

   private:
    guarded_line& line_;
    caller& self_;
  };

  [[nodiscard]] bool is_empty() const noexcept { return first_ == nullptr; }

  // Calls the first in line whose condition is true.
  void call_next(const T& value) noexcept {
    for (caller** at = &first_; *at != nullptr; at = &(*at)->next) {
      caller& each = **at;
      if (!each.is_true(each.pred, value)) continue;
      *at = each.next;
      each.has_been_called = true;
      each.called.notify_one();
      return;
    }
  }

 private:
  caller* first_ = nullptr;
};

// What with_all() may do that others may not: lock the mutex of a guarded by itself, so that std::lock can take several, and
// make a scope of a lock that is held already. A const guarded is locked for reading.
struct guarded_access {
  template <class T, class Mutex>
  static Mutex& side(guarded<T, Mutex>& g) {
    return g.mutex_;
  }
  template <class T, class Mutex>
  static read_side<Mutex> side(const guarded<T, Mutex>& g) {
    return read_side<Mutex>(g.mutex_);
  }
  template <class T, class Mutex>
  static auto adopt(guarded<T, Mutex>& g) {
    return typename guarded<T, Mutex>::scope(&g);
  }
  template <class T, class Mutex>
  static auto adopt(const guarded<T, Mutex>& g) {
    return typename guarded<T, Mutex>::shared_scope(&g);
  }

  template <class First, class... Rest>
  [[clang::no_thread_safety_analysis]] static void lock(First&& first, Rest&&... rest) {
    if constexpr (sizeof...(Rest) == 0) {
      first.lock();
    } else {
      std::lock(first, rest...);
    }
  }
};

}  // namespace turnkey

#pragma GCC diagnostic pop
