// turnkey/task_group.hpp -- goroutines that belong together, and the first of their errors.
//
//   turnkey::task_group tasks(8);                    // at most eight at once
//   for (auto& url : urls) tasks.go([&] { fetch(url, tasks.stop_token()); });
//   tasks.wait();                                    // rethrows the first exception
//
// Go: golang.org/x/sync/errgroup. std: nothing.
//
// Guarantees
//   The first exception that leaves a task is kept for wait() and requests the stop; those that follow are dropped.
//   A stop is a request: tasks that do not ask the token, and those that are started afterwards, run as ever.
//   Order: what a task did, also the destructors of f and its arguments, is seen after wait().
//   The destructor waits for the tasks that still run, after requesting the stop, and drops their exception.
//   Cost: a task costs what turnkey::go costs, and one with a limit a semaphore besides. stop_token() allocates, once.
//   constexpr constructor.
// Misuse: a task that waits for its own group, or that starts one more while all of a full group do the same, waits for ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// All members may be called from goroutines and OS threads; tasks may add tasks. May be used again after wait(); but once a
// task has failed, the stop stays requested and wait() throws.
class task_group {
 public:
  // `limit`: how many tasks may run at once; 0: any number (in Go, none). Throws std::invalid_argument above
  // semaphore::max(). Go: SetLimit.
  constexpr explicit task_group(std::size_t limit = 0) : slots_(checked(limit)), has_limit_(limit != 0) {}
  task_group(const task_group&) = delete;             // cannot be copied: tasks belong to one group
  task_group& operator=(const task_group&) = delete;  // cannot be copied
  // Requests the stop and waits for all tasks.
  ~task_group() {
    request_stop();
    running_.wait();
  }

  // Runs f(args...), decay-copied, in a goroutine, with the name and stack of `options` if these are given; at the limit it
  // waits first until another task has ended. The result of f is dropped. Throws what turnkey::go throws; the group is then
  // as before. Go: Go.
  template <class F, class... Args>
  requires(!std::is_same_v<std::remove_cvref_t<F>, goroutine_options> &&
           !std::is_same_v<std::remove_cvref_t<F>, std::stop_token>) [[gnu::noinline]] void go(F&& f, Args&&... args) {
    if (has_limit_) slots_.acquire();
    start(__builtin_return_address(0), goroutine_options{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  [[gnu::noinline]] void go(const goroutine_options& options, F&& f, Args&&... args) {
    if (has_limit_) slots_.acquire();
    start(__builtin_return_address(0), options, std::forward<F>(f), std::forward<Args>(args)...);
  }
  // The same, but false, and f is not run, if the group is at its limit: at once, still after `period`, still at `when`, or
  // until a stop is requested, the caller's or, with this group's token, its own. try_go never blocks; a time that has passed
  // still tries once, a stop that was requested before does not. Go: TryGo.
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] bool try_go(F&& f, Args&&... args) {
    return start_if(!has_limit_ || slots_.try_acquire(), __builtin_return_address(0), std::forward<F>(f),
                    std::forward<Args>(args)...);
  }
  template <class Rep, class Period, class F, class... Args>
  [[nodiscard, gnu::noinline]] bool try_go_for(const std::chrono::duration<Rep, Period>& period, F&& f,
                                               Args&&... args) {
    return start_if(!has_limit_ || slots_.try_acquire_for(period), __builtin_return_address(0), std::forward<F>(f),
                    std::forward<Args>(args)...);
  }
  template <class Clock, class Duration, class F, class... Args>
  [[nodiscard, gnu::noinline]] bool try_go_until(const std::chrono::time_point<Clock, Duration>& when, F&& f,
                                                 Args&&... args) {
    return start_if(!has_limit_ || slots_.try_acquire_until(when), __builtin_return_address(0), std::forward<F>(f),
                    std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] bool go(std::stop_token token, F&& f, Args&&... args) {
    return start_if(has_limit_ ? slots_.acquire(std::move(token)) : !token.stop_requested(),
                    __builtin_return_address(0), std::forward<F>(f), std::forward<Args>(args)...);
  }

  // Waits until all tasks have ended, then rethrows the first exception, if any: every time. Go: Wait.
  void wait() {
    running_.wait();
    rethrow();
  }
  // The same, but gives up after `period`, at `when` or when a stop is requested: false then, and nothing is thrown.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& period) {
    return ended(running_.wait_for(period));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(const std::chrono::time_point<Clock, Duration>& when) {
    return ended(running_.wait_until(when));
  }
  [[nodiscard]] bool wait(std::stop_token token) { return ended(running_.wait(std::move(token))); }

  // Requested by the first exception, and by the destructor; not by wait(). Good longer than the group. Never blocks. The first
  // call throws std::bad_alloc if there is no memory. Go: the context of WithContext.
  [[nodiscard]] std::stop_token stop_token() const {
    const std::scoped_lock hold(mu_);
    if (!stop_) {
      stop_.emplace();
      if (is_stopping_) stop_->request_stop();
    }
    return stop_->get_token();
  }

 private:
  static constexpr std::ptrdiff_t checked(std::size_t limit) {
    if (limit > static_cast<std::size_t>(semaphore::max()))
      throw std::invalid_argument("turnkey::task_group: limit out of range");
    return static_cast<std::ptrdiff_t>(limit);
  }

  template <class F, class... Args>
  void start(const void* site, const goroutine_options& options, F&& f, Args&&... args) {
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                  "go(f, args...): f cannot be called with copies of these arguments; wrap references in std::ref");
    goroutine_launch::refuse_null(f);
    try {
      using task = guarded_task<std::decay_t<F>, std::decay_t<Args>...>;
      running_.start(site, options,
                     task{this, typename task::call(std::in_place, std::forward<F>(f), std::forward<Args>(args)...)});
    } catch (...) {
      if (has_limit_) slots_.release();
      throw;
    }
  }

  // `may`: it has a place, or needs none.
  template <class F, class... Args>
  bool start_if(bool may, const void* site, F&& f, Args&&... args) {
    if (may) start(site, goroutine_options{}, std::forward<F>(f), std::forward<Args>(args)...);
    return may;
  }

  template <class... Parts>
  struct guarded_task {
    using call = std::optional<std::tuple<Parts...>>;
    task_group* group;
    call parts;
    void operator()() {
      try {
        std::apply([](auto&... part) { static_cast<void>(std::invoke(std::move(part)...)); }, *parts);
      } catch (...) {
        group->fail(std::current_exception());
      }
      parts.reset();
      if (group->has_limit_) group->slots_.release();
    }
  };

  void fail(std::exception_ptr failure) noexcept {
    {
      const std::scoped_lock hold(mu_);
      if (!failure_) failure_ = std::move(failure);
    }
    request_stop();
  }

  // What the stop calls may use the group, so it is not called under the lock.
  void request_stop() noexcept {
    std::optional<std::stop_source> stop;
    {
      const std::scoped_lock hold(mu_);
      is_stopping_ = true;
      stop = stop_;
    }
    if (stop) stop->request_stop();
  }

  void rethrow() {
    std::exception_ptr failure;
    {
      const std::scoped_lock hold(mu_);
      if (failure_) failure = *failure_;
    }
    if (failure) std::rethrow_exception(failure);
  }
  bool ended(bool all) {
    if (all) rethrow();
    return all;
  }

  wait_group running_;
  semaphore slots_;  // if it has a limit
  bool has_limit_;
  mutable mutex mu_;  // guards what follows
  bool is_stopping_ = false;
  std::optional<std::exception_ptr> failure_;
  mutable std::optional<std::stop_source> stop_;  // if somebody has asked for its token
};

}  // namespace turnkey
