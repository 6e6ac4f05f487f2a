// turnkey/guarded.hpp -- a lock and what it guards in one object: who wants the data gets the lock with it.
//
//   turnkey::guarded<std::deque<job>> jobs;
//   jobs.with([&](auto& all) { all.push_back(next); });
//   auto all = jobs.wait([](const auto& all) { return !all.empty(); });  // has the lock, until it goes
//   job first = std::move(all->front());
//
// Go: a struct that keeps a sync.Mutex and its data to itself, and a sync.Cond for wait(). std: nothing like it.
//
// Guarantees
//   The data can be reached under the lock only. Results that would carry it out do not compile: see carries_out.hpp.
//   wait() needs no notify: who gives the lock back finds out who waits for what the data is now. The first in line whose
//     condition is true goes next, and then the next; nobody else is woken.
//   Order, fairness and lifetime are the mutex's. An exception leaves the data as it is then, and unlocked.
//   Cost: the mutex's, and a look whether anybody waits. One word more than the two. constexpr constructor if T has one.
//     While n wait, each unlock after writing calls their conditions until one is true, n at most.
// Mutex: turnkey's and std's. Readers share one that has lock_shared(). Timed and stoppable forms need a mutex with these.
// Misuse: locking again what one holds, also by with() inside with(), blocks, as the mutex does. What C++ cannot prevent:
// keeping the address of what one has seen under the lock.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/carries_out.hpp>
#include <turnkey/guarded_core.hpp>
#include <turnkey/guarded_scope.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/wait_limit.hpp>

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

// All members may be called from goroutines and OS threads, at any time, concurrently. They throw what T, f or pred throws,
// and what Mutex throws: nothing, if it is one of turnkey's.
template <class T, class Mutex = mutex>
class guarded {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "guarded: what is guarded must be an object that can change");

 public:
  using value_type = T;
  using mutex_type = Mutex;
  using scope = guarded_scope<guarded, T>;
  using shared_scope = guarded_scope<guarded, const T>;

  // Holds T(), `value`, or T(args...).
  constexpr guarded() requires std::default_initializable<T>
  = default;
  constexpr explicit guarded(T value) : value_(std::move(value)) {}
  template <class... Args>
  constexpr explicit guarded(std::in_place_t, Args&&... args) : value_(std::forward<Args>(args)...) {}
  guarded(const guarded&) = delete;             // cannot be copied: it is a lock as well. load() copies what is in it
  guarded& operator=(const guarded&) = delete;  // cannot be copied

  // Returns f(value), called under the lock, by value. Waits for the lock first. f should be short and may block, but not on
  // this guarded. Go: a method that locks.
  template <std::invocable<T&> F>
  auto with(F&& f) {
    check_way_out<std::invoke_result_t<F, T&>, T>();
    const scope hold = lock();
    return std::invoke(std::forward<F>(f), value_);
  }
  // The same for reading, beside other readers if the mutex can.
  template <std::invocable<const T&> F>
  auto read(F&& f) const {
    check_way_out<std::invoke_result_t<F, const T&>, T>();
    const shared_scope hold = lock_shared();
    return std::invoke(std::forward<F>(f), value_);
  }
  // The same with an end, for the lock: if it was not had after `period`, at `when`, or when a stop is requested, f is not
  // called. They return what f returns in a std::optional; if f returns nothing, whether it was called. A time that has passed
  // still tries once, a stop that was requested before does not. load, store and exchange have no such form: these do.
  template <class Rep, class Period, std::invocable<T&> F>
  [[nodiscard]] auto with_for(const std::chrono::duration<Rep, Period>& period, F&& f) {
    return call_if_locked<T&>(std::forward<F>(f), [&] { return try_lock_for(period); });
  }
  template <class Clock, class Duration, std::invocable<T&> F>
  [[nodiscard]] auto with_until(const std::chrono::time_point<Clock, Duration>& when, F&& f) {
    return call_if_locked<T&>(std::forward<F>(f), [&] { return try_lock_until(when); });
  }
  template <std::invocable<T&> F>
  [[nodiscard]] auto with(std::stop_token token, F&& f) {
    return call_if_locked<T&>(std::forward<F>(f), [&] { return lock(std::move(token)); });
  }
  template <class Rep, class Period, std::invocable<const T&> F>
  [[nodiscard]] auto read_for(const std::chrono::duration<Rep, Period>& period, F&& f) const {
    return call_if_locked<const T&>(std::forward<F>(f), [&] { return try_lock_shared_for(period); });
  }
  template <class Clock, class Duration, std::invocable<const T&> F>
  [[nodiscard]] auto read_until(const std::chrono::time_point<Clock, Duration>& when, F&& f) const {
    return call_if_locked<const T&>(std::forward<F>(f), [&] { return try_lock_shared_until(when); });
  }
  template <std::invocable<const T&> F>
  [[nodiscard]] auto read(std::stop_token token, F&& f) const {
    return call_if_locked<const T&>(std::forward<F>(f), [&] { return lock_shared(std::move(token)); });
  }
  // A copy of the value, made under the lock, as read().
  [[nodiscard]] T load() const {
    const shared_scope hold = lock_shared();
    return value_;
  }
  // Puts `value` in its place, as with(). What was there is destroyed after the lock.
  void store(T value) { static_cast<void>(exchange(std::move(value))); }
  // The same, and returns what was there.
  [[nodiscard]] T exchange(T value) {
    const scope hold = lock();
    return std::exchange(value_, std::move(value));
  }

  // The lock, and access to the value, until the scope goes; see guarded_scope.hpp. What the try, timed and stoppable forms
  // return is false if they did not get the lock; try_lock() never blocks. Go: Lock, TryLock.
  [[nodiscard, clang::no_thread_safety_analysis]] scope lock() {
    mutex_.lock();
    return scope(this);
  }
  [[nodiscard]] scope try_lock() { return scope(mutex_.try_lock() ? this : nullptr); }
  template <class Rep, class Period>
  [[nodiscard]] scope try_lock_for(const std::chrono::duration<Rep, Period>& period) {
    return scope(mutex_.try_lock_for(period) ? this : nullptr);
  }
  template <class Clock, class Duration>
  [[nodiscard]] scope try_lock_until(const std::chrono::time_point<Clock, Duration>& when) {
    return scope(mutex_.try_lock_until(when) ? this : nullptr);
  }
  [[nodiscard]] scope lock(std::stop_token token) { return scope(mutex_.lock(std::move(token)) ? this : nullptr); }

  // The same for reading, beside other readers if the mutex can. Go: RLock, TryRLock.
  [[nodiscard]] shared_scope lock_shared() const {
    read_side(mutex_).lock();
    return shared_scope(this);
  }
  [[nodiscard]] shared_scope try_lock_shared() const {
    return shared_scope(read_side(mutex_).try_lock() ? this : nullptr);
  }
  template <class Rep, class Period>
  [[nodiscard]] shared_scope try_lock_shared_for(const std::chrono::duration<Rep, Period>& period) const {
    return shared_scope(read_side(mutex_).try_lock_for(period) ? this : nullptr);
  }
  template <class Clock, class Duration>
  [[nodiscard]] shared_scope try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& when) const {
    return shared_scope(read_side(mutex_).try_lock_until(when) ? this : nullptr);
  }
  [[nodiscard]] shared_scope lock_shared(std::stop_token token) const {
    return shared_scope(read_side(mutex_).lock(std::move(token)) ? this : nullptr);
  }

  // Waits until pred(value) is true, and returns the scope in which it is. pred is called under the lock, and not only by who
  // waits: also by who is about to give it back. So it must not block, and depend on nothing but the value and what does not
  // change. If it throws, who waits gets the exception. Works with any mutex. Go: for !pred() { cond.Wait() }.
  template <std::predicate<const T&> Pred>
  scope wait(Pred pred) {
    return wait_with(pred, [this](caller& self) { self.called.wait(mutex_, is_called(self)); });
  }
  // The same with an end: the scope is false if pred was not true by then. A time that has passed still tries once.
  template <class Rep, class Period, std::predicate<const T&> Pred>
  [[nodiscard]] scope wait_for(const std::chrono::duration<Rep, Period>& period, Pred pred) {
    const std::chrono::nanoseconds deadline(wait_limit::after(period).deadline());
    return wait_until(wait_limit::time_point(deadline), std::move(pred));
  }
  template <class Clock, class Duration, std::predicate<const T&> Pred>
  [[nodiscard]] scope wait_until(const std::chrono::time_point<Clock, Duration>& when, Pred pred) {
    return wait_with(pred, [&](caller& self) { self.called.wait_until(mutex_, when, is_called(self)); });
  }
  template <std::predicate<const T&> Pred>
  [[nodiscard]] scope wait(std::stop_token token, Pred pred) {
    if (!token.stop_possible()) return wait(std::move(pred));
    return wait_with(pred, [&](caller& self) { self.called.wait(mutex_, token, is_called(self)); });
  }

 private:
  template <class, class>
  friend class guarded_scope;
  friend struct guarded_access;

  using line = guarded_line<T>;
  using caller = typename line::caller;

  static auto is_called(const caller& self) {
    return [&self] { return self.has_been_called; };
  }

  // f(value), if the scope that `take` returns has the lock.
  template <class Value, class F, class Take>
  static auto call_if_locked(F&& f, Take take) {
    using result = std::invoke_result_t<F, Value>;
    check_way_out<result, T>();
    const auto hold = take();
    return guarded_access::call_if(static_cast<bool>(hold),
                                   [&]() -> result { return std::invoke(std::forward<F>(f), *hold); });
  }

  // `block` waits until it is called, or for as long as it likes.
  template <class Pred, class Block>
  scope wait_with(Pred& pred, Block block) {
    scope hold = lock();
    for (bool is_first = true; !std::invoke(pred, std::as_const(value_)); is_first = false) {
      caller self{.is_true = line::template is_true<Pred>, .pred = &pred, .called = {}};
      line_.call_next(value_);  // whoever called this one in vain may have passed over another
      {
        const typename line::place in_line(line_, self, is_first);
        block(self);
      }
      if (!self.has_been_called) {
        if (!std::invoke(pred, std::as_const(value_))) hold.unlock();
        break;
      }
    }
    return hold;
  }

  // For the scopes: after writing, and after reading.
  [[clang::no_thread_safety_analysis]] void unlock(T*) noexcept {
    if (!line_.is_empty()) line_.call_next(value_);
    mutex_.unlock();
  }
  void unlock(const T*) const noexcept { read_side(mutex_).unlock(); }

  mutable Mutex mutex_;
  line line_;
  T value_{};
};

// Returns f(value1, value2, ...), called under all their locks, by value; a const guarded is locked for reading. Waits for the
// locks first, as std::lock does: for one at a time, and holds no other meanwhile. So whatever the order, it does not
// deadlock; but those who take fewer may overtake it, without bound. Throws what f throws, and then holds nothing; the same
// guarded twice throws std::logic_error("turnkey::with_all: a guarded is named twice") and locks nothing. Go: nothing like it.
template <class F, any_guarded... Guarded>
requires(sizeof...(Guarded) > 0) auto with_all(F&& f, Guarded&... all) {
  guarded_access::check<F>(all...);
  static_cast<void>(guarded_access::lock(guarded_access::sides(all...)));
  return guarded_access::call(std::forward<F>(f), all...);
}
// The same with an end, one for all the locks, as of guarded's with_for(), with_until() and with(token): if they were not all
// had by then, none is held and f is not called. They return what f returns in a std::optional; if f returns nothing, whether
// it was called. A time that has passed still tries once, a stop that was requested before does not.
template <class Rep, class Period, class F, any_guarded... Guarded>
requires(sizeof...(Guarded) > 0)
    [[nodiscard]] auto with_all_for(const std::chrono::duration<Rep, Period>& period, F&& f, Guarded&... all) {
  const std::chrono::nanoseconds deadline(wait_limit::after(period).deadline());
  return guarded_access::call_within(wait_limit::time_point(deadline), std::forward<F>(f), all...);
}
template <class Clock, class Duration, class F, any_guarded... Guarded>
requires(sizeof...(Guarded) > 0)
    [[nodiscard]] auto with_all_until(const std::chrono::time_point<Clock, Duration>& when, F&& f, Guarded&... all) {
  const std::chrono::nanoseconds deadline(wait_limit::until(when).deadline());
  return guarded_access::call_within(wait_limit::time_point(deadline), std::forward<F>(f), all...);
}
template <class F, any_guarded... Guarded>
requires(sizeof...(Guarded) > 0) [[nodiscard]] auto with_all(std::stop_token token, F&& f, Guarded&... all) {
  return guarded_access::call_within(token, std::forward<F>(f), all...);
}

}  // namespace turnkey

#pragma GCC diagnostic pop
