// turnkey/wait_group.hpp -- wait until a number of things are done.
//
//   turnkey::wait_group wg;
//   for (int i = 0; i < 5; ++i) wg.go([&] { work(); });
//   wg.wait();                                  // all five have returned
//
// Go: sync.WaitGroup. std: a std::latch that can be counted up again and used again.
//
// Guarantees
//   Order: what was done before a done() is seen after the wait() that it lets go.
//   Lifetime: may be destroyed as soon as wait() has returned, even while the last done() is still returning.
//   Cost: add() and done() are one atomic read-modify-write while the counter stays above zero. wait() at zero is a load.
//     16 bytes. No allocation.
// Misuse throws std::logic_error with Go's words:
//   "sync: negative WaitGroup counter"                                  more done() than add()
//   "sync: WaitGroup misuse: Add called concurrently with Wait"         best effort
//   "sync: WaitGroup is reused before previous Wait has returned"       best effort; by wait()
//   "sync: WaitGroup counter overflow"                                  above 2,147,483,647; the counter is as before
// A counter that never comes down to zero: wait() waits for ever, which is a deadlock if nobody else is left.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <turnkey/go.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class waiter;
}

// A counter and those who wait for it to be zero. All members may be called from goroutines and OS threads.
class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;             // a wait_group cannot be copied: the copy would never be done
  wait_group& operator=(const wait_group&) = delete;  // a wait_group cannot be copied

  // Adds `delta`, which may be negative, to the counter; at zero lets go everyone who waits. Never blocks. Call it before
  // the goroutine is started, not inside: wait() could find zero before. Throws std::logic_error, as above; a counter that
  // became negative stays so, as in Go. Go: Add.
  void add(int delta = 1);
  // add(-1). Go: Done.
  void done() { add(-1); }

  // Waits until the counter is zero; returns at once if it is. Any number may wait. Go: Wait.
  void wait() { wait_within(wait_limit()); }
  // The same, but gives up after `period`, at `when` or when a stop is requested. True if the counter was zero; a limit that
  // has ended before still looks once.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const std::chrono::duration<Rep, Period>& period) {
    return wait_within(wait_limit::after(period));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(const std::chrono::time_point<Clock, Duration>& when) {
    return wait_within(wait_limit::until(when));
  }
  [[nodiscard]] bool wait(std::stop_token token) {
    if (!token.stop_possible()) return wait_within(wait_limit());
    stop_watch watch(std::move(token));
    return wait_within(wait_limit::stopped_by(watch));
  }

  // add(1), then f(args...) in a goroutine of its own, then done() - after f and its arguments were destroyed, so that
  // nothing of them is left when wait() returns. An exception that leaves f ends the program. Never blocks; costs what
  // turnkey::go costs. Throws what that throws; the counter is then as before. Go: WaitGroup.Go.
  template <class F, class... Args>
  requires(!std::is_same_v<std::remove_cvref_t<F>, goroutine_options>)
      [[gnu::noinline]] void go(F&& f, Args&&... args) {
    start(__builtin_return_address(0), goroutine_options{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  [[gnu::noinline]] void go(const goroutine_options& options, F&& f, Args&&... args) {
    start(__builtin_return_address(0), options, std::forward<F>(f), std::forward<Args>(args)...);
  }

 private:
  friend class task_group;

  // What go() does; `site` as in goroutine_launch.
  template <class F, class... Args>
  void start(const void* site, const goroutine_options& options, F&& f, Args&&... args) {
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                  "go(f, args...): f cannot be called with copies of these arguments; wrap references in std::ref");
    goroutine_launch::refuse_null(f);
    add(1);
    try {
      using task = counted<std::decay_t<F>, std::decay_t<Args>...>;
      goroutine_launch::launch(
          site, &options,
          task{this, typename task::call(std::in_place, std::forward<F>(f), std::forward<Args>(args)...)});
    } catch (...) {
      done();
      throw;
    }
  }

  template <class... Parts>
  struct counted {
    using call = std::optional<std::tuple<Parts...>>;
    wait_group* group;
    call parts;
    void operator()() {
      std::apply([](auto&... part) { static_cast<void>(std::invoke(std::move(part)...)); }, *parts);
      parts.reset();
      group->done();
    }
  };

  bool wait_within(const wait_limit& limit);
  bool withdraw(parking::waiter& self) noexcept;
  void add_anyhow(int delta);
  void end_round() noexcept;

  // Bits 63..32: the counter. The low bits say who waits; see src/sync/wait_group.cpp.
  std::atomic<std::uint64_t> state_{0};
  parking::waiter* queue_ = nullptr;
};

}  // namespace turnkey
