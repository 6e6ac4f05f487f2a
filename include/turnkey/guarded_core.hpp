// turnkey/guarded_core.hpp -- what guarded is made of: the side of a mutex that readers lock, the line of those who wait for
// a value, and what with_all() may do. Not for direct use: see guarded.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>  // std::unique_lock
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <turnkey/carries_out.hpp>
#include <turnkey/condition_variable.hpp>
#include <turnkey/wait_limit.hpp>

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

// What with_all() may do that others may not: lock the mutexes of several guardeds by themselves, and make a scope of a lock
// that is held already. A const guarded is locked for reading.
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

  // Does not compile if f's result would carry something out, and throws if one is named twice.
  template <class F, class... Guarded>
  static void check(Guarded&... all) {
    using result = decltype(call(std::declval<F>(), all...));
    constexpr bool is_a_value = (std::is_same_v<result, typename Guarded::value_type> || ...);
    check_way_out<result, std::conditional_t<is_a_value, result, void>>();
    const void* const each[] = {&all...};
    for (std::size_t i = 1; i < sizeof...(Guarded); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (each[i] == each[k]) throw std::logic_error("turnkey::with_all: a guarded is named twice");
      }
    }
  }

  // Takes all the locks, and says whether it did. As std::lock does: waits for one, tries the others, and if one of these is
  // not free, gives back what it has and waits for that one. So it never waits while it holds something. With a limit, a time
  // or a stop, it may give up; then, and if a mutex throws, it holds nothing.
  template <class... Side, class... Limit>
  static bool lock(std::tuple<Side...> sides, const Limit&... limit) {
    return lock_each(std::index_sequence_for<Side...>(), sides, limit...);
  }
  template <class... Guarded>
  static auto sides(Guarded&... all) {
    return std::tuple<decltype(side(all))...>(side(all)...);
  }

  // f(value1, value2, ...). Their locks are held, until it returns or throws.
  template <class F, class... Guarded>
  static decltype(auto) call(F&& f, Guarded&... locked) {
    const std::tuple scopes(adopt(locked)...);
    return std::apply([&](auto&... scope) -> decltype(auto) { return std::invoke(std::forward<F>(f), *scope...); },
                      scopes);
  }
  // call(), if the locks are had within the limit.
  template <class Limit, class F, class... Guarded>
  static auto call_within(const Limit& limit, F&& f, Guarded&... all) {
    check<F>(all...);
    const bool has_all = lock(sides(all...), limit);
    return call_if(has_all, [&]() -> decltype(auto) { return call(std::forward<F>(f), all...); });
  }
  // What f returns in an optional, or, if it returns nothing, whether it was called.
  template <class F>
  static auto call_if(bool may_call, F&& f) {
    using result = std::invoke_result_t<F>;
    if constexpr (std::is_void_v<result>) {
      if (may_call) std::forward<F>(f)();
      return may_call;
    } else {
      std::optional<std::decay_t<result>> returned;
      if (may_call) returned.emplace(std::forward<F>(f)());
      return returned;
    }
  }

 private:
  template <class... Side, std::size_t... I, class... Limit>
  static bool lock_each(std::index_sequence<I...>, std::tuple<Side...>& sides, const Limit&... limit) {
    std::size_t next = 0;
    do {
      std::tuple holds(std::unique_lock(std::get<I>(sides), std::defer_lock)...);
      if (!(... || (I == next && wait(std::get<I>(holds), limit...)))) return false;
      const auto has = [&next](auto& hold, std::size_t i) {
        if (hold.owns_lock() || hold.try_lock()) return true;
        next = i;
        return false;
      };
      if ((... && has(std::get<I>(holds), I))) {
        (static_cast<void>(std::get<I>(holds).release()), ...);
        return true;
      }
    } while (!is_over(limit...));
    return false;
  }

  // Waits for one lock: for ever, until a time, until a stop is requested.
  template <class Side>
  static bool wait(std::unique_lock<Side>& hold) {
    hold.lock();
    return true;
  }
  template <class Side>
  static bool wait(std::unique_lock<Side>& hold, const wait_limit::time_point& when) {
    return hold.try_lock_until(when);
  }
  template <class Side>
  [[clang::no_thread_safety_analysis]] static bool wait(std::unique_lock<Side>& hold, const std::stop_token& token) {
    if (!hold.mutex()->lock(token)) return false;
    hold = std::unique_lock(*hold.mutex(), std::adopt_lock);
    return true;
  }
  // Whether there is no time for another round, though each wait in it might be short.
  static bool is_over() noexcept { return false; }
  static bool is_over(const wait_limit::time_point& when) { return std::chrono::steady_clock::now() >= when; }
  static bool is_over(const std::stop_token& token) noexcept { return token.stop_requested(); }
};

// What with_all() takes: a guarded, for writing, or a const one, for reading.
template <class G>
concept any_guarded = requires(G& g) {
  guarded_access::side(g);
};

}  // namespace turnkey

#pragma GCC diagnostic pop
