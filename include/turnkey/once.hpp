// turnkey/once.hpp -- do something exactly once.
//
//   turnkey::once started;
//   started.call([] { open_log(); });              // the first caller runs it, the others wait until it has returned
//   auto config = turnkey::once_value([] { return load_config(); });
//   use(config());                                 // loaded by the first call, remembered afterwards
//
// Go: sync.Once, sync.OnceFunc, sync.OnceValue. std: std::call_once, except that an exception counts as done.
//
// Guarantees
//   Order: what f did is seen by everyone whose call returned, or returned true.
//   Lifetime: may be destroyed as soon as the last call on it has returned.
//   Cost: a call after the first is one load. 16 bytes. No allocation by once.
// Misuse: calling call() from inside f blocks for ever, as in Go.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class waiter;
}

// Runs one callable, once. All members may be called from goroutines and OS threads.
class once {
 public:
  constexpr once() noexcept = default;
  once(const once&) = delete;             // cannot be copied: the copy would run again
  once& operator=(const once&) = delete;  // cannot be copied

  // The first call runs f, on the caller; the others wait until it has returned, whatever their own f. If f throws, that
  // counts as done: the exception goes to the first caller, later calls return at once. Go: Do.
  template <class F>
  void call(F&& f) {
    call_within(wait_limit(), std::forward<F>(f));
  }
  // The same, but a caller that finds f running gives up after `period`, at `when` or when a stop is requested.
  // True if f has been run by the time that it returns. The caller that runs f is not limited. Go: nothing.
  template <class Rep, class Period, class F>
  bool call_for(const std::chrono::duration<Rep, Period>& period, F&& f) {
    return call_within(wait_limit::after(period), std::forward<F>(f));
  }
  template <class Clock, class Duration, class F>
  bool call_until(const std::chrono::time_point<Clock, Duration>& when, F&& f) {
    return call_within(wait_limit::until(when), std::forward<F>(f));
  }
  template <class F>
  bool call(std::stop_token token, F&& f) {
    if (!token.stop_possible()) return call_within(wait_limit(), std::forward<F>(f));
    stop_watch watch(std::move(token));
    return call_within(wait_limit::stopped_by(watch), std::forward<F>(f));
  }

 private:
  enum class turn { run, done, gave_up };

  template <class F>
  bool call_within(const wait_limit& limit, F&& f) {
    if (is_done()) return true;
    switch (begin(limit)) {
      case turn::done: return true;
      case turn::gave_up: return false;
      case turn::run: break;
    }
    struct finisher {
      once* self;
      ~finisher() { self->finish(); }
    } const finish_at_exit{this};
    std::invoke(std::forward<F>(f));
    return true;
  }

  bool is_done() const noexcept;  // seen done: everything f did is seen too
  turn begin(const wait_limit& limit) noexcept;
  void finish() noexcept;
  bool withdraw(parking::waiter& self) noexcept;

  std::atomic<std::uint32_t> state_{0};
  parking::waiter* queue_ = nullptr;
};

// A copyable callable that runs f at its first call, in whichever copy and thread of control. If f throws, every call
// throws that same exception. f is destroyed after the first call. Calls may come from anywhere at once; they wait as
// once::call does. Allocates here, not in calls: std::bad_alloc, and what moving f throws. Go: sync.OnceFunc.
template <class F>
[[nodiscard]] auto once_func(F&& f) {
  static_assert(std::is_invocable_v<std::decay_t<F>&>, "once_func(f): f must be callable without arguments");
  struct shared {
    once gate;
    std::optional<std::decay_t<F>> f;
    std::exception_ptr failure = nullptr;
  };
  auto state = std::make_shared<shared>();
  state->f.emplace(std::forward<F>(f));
  return [state = std::move(state)] {
    state->gate.call([&] {
      try {
        std::invoke(*state->f);
      } catch (...) {
        state->failure = std::current_exception();
      }
      state->f.reset();
    });
    if (state->failure) std::rethrow_exception(state->failure);
  };
}

// The same for an f that returns a value: each call returns a const reference to the one result, which lives as long as a
// copy of the callable does. Go: sync.OnceValue.
template <class F>
[[nodiscard]] auto once_value(F&& f) {
  static_assert(std::is_invocable_v<std::decay_t<F>&>, "once_value(f): f must be callable without arguments");
  using value = std::decay_t<std::invoke_result_t<std::decay_t<F>&>>;
  static_assert(!std::is_void_v<value>, "once_value(f): f returns nothing; use once_func");
  struct shared {
    once gate;
    std::optional<std::decay_t<F>> f;
    std::optional<value> result;
    std::exception_ptr failure = nullptr;
  };
  auto state = std::make_shared<shared>();
  state->f.emplace(std::forward<F>(f));
  return [state = std::move(state)]() -> const value& {
    state->gate.call([&] {
      try {
        state->result.emplace(std::invoke(*state->f));
      } catch (...) {
        state->failure = std::current_exception();
      }
      state->f.reset();
    });
    if (state->failure) std::rethrow_exception(state->failure);
    return *state->result;
  };
}

}  // namespace turnkey
