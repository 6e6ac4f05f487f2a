// turnkey/go.hpp -- start goroutines, and what a goroutine can ask of its scheduler.
//
//   turnkey::go([] { serve(); });
//   turnkey::go({.name = "writer", .stack_size = 256 << 10}, write_all, std::move(batch));
//
// A goroutine is a thread of control that costs a page of memory, not a kernel thread. The scheduler starts with the
// first of them and runs them on max_procs() OS threads; it is cooperative: a goroutine keeps its thread until it
// waits, yields or ends, or, once it has had it for 10 ms while others are ready, locks a mutex or rw_mutex. Goroutines of a program whose main has returned are abandoned, as in Go.
//
// Guarantees
//   Order: what was done before go() is seen by the goroutine. The end of a goroutine orders nothing: use a wait_group.
//   An exception that leaves a goroutine ends the program: "panic: " + what(), exit status 2.
//   A goroutine that overruns its stack ends the program: "fatal error: stack overflow", exit status 2. So does one that gets
//   none, as it first runs: "fatal error: out of memory: no stack for a goroutine".
// All functions may be called from goroutines and OS threads, at any time, concurrently.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

// What a goroutine may be given at its start.
struct goroutine_options {
  std::string name = {};  // shown by every report; copied, the first 31 bytes are kept
  std::size_t stack_size =
      0;  // bytes, rounded up to a power of two >= 16 KiB; 0: 64 KiB. Above 1 GiB: std::invalid_argument
};

// The library's half of go(): room for a callable, then the start. Not for direct use.
class goroutine_launch {
 public:
  // Reserves a goroutine with room for `size` bytes. `site`: for reports, the return address of the user's call. The
  // templates that take theirs are not inlined, so that it lies in the user's function. Throws std::bad_alloc,
  // std::invalid_argument (options), or std::system_error if the scheduler cannot start its first thread.
  goroutine_launch(const void* site, const goroutine_options* options, std::size_t size, std::size_t align,
                   void (*run)(void*));
  ~goroutine_launch();  // gives the goroutine back if it was not started
  goroutine_launch(const goroutine_launch&) = delete;
  goroutine_launch& operator=(const goroutine_launch&) = delete;

  [[nodiscard]] void* room() const noexcept { return room_; }
  // The callable has been put into the room: makes the goroutine ready, and gives up the right to it.
  void start() noexcept;
  // If f is a null pointer or an empty std::function, ends the program: "go of nil func value".
  template <class F>
  static void refuse_null(const F& f) noexcept {
    if constexpr (!std::is_function_v<F> && std::is_constructible_v<F, std::nullptr_t> &&
                  requires { static_cast<bool>(f == nullptr); }) {
      if (f == nullptr) refuse_null_function();
    }
  }

  // go(), wait_group::go and task_group::go, but for the null check's place and the address of the call.
  template <class F, class... Args>
  static void launch(const void* site, const goroutine_options* options, F&& f, Args&&... args) {
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                  "go(f, args...): f cannot be called with copies of these arguments; wrap references in std::ref");
    refuse_null(f);
    using call = std::tuple<std::decay_t<F>, std::decay_t<Args>...>;
    goroutine_launch goroutine(site, options, sizeof(call), alignof(call), [](void* room) {
      call& mine = *static_cast<call*>(room);
      std::apply([](auto&... part) { static_cast<void>(std::invoke(std::move(part)...)); }, mine);
      mine.~call();
    });
    ::new (goroutine.room()) call(std::forward<F>(f), std::forward<Args>(args)...);
    goroutine.start();
  }

 private:
  [[noreturn]] static void refuse_null_function() noexcept;

  void* goroutine_;
  void* room_;
};

// Starts f(args...) in a goroutine of its own. Arguments are decay-copied, as std::thread copies them; the result of f
// is dropped. Never blocks. A null function pointer or empty std::function is fatal: "go of nil func value".
// Throws std::bad_alloc, std::system_error if not even one thread can be had, and what the copies throw; nothing was
// started then. Cost: tens of nanoseconds; no stack until it first runs; an allocation if f and its arguments take more than
// 64 bytes, or are aligned to more than 16. Go: the go statement.
template <class F, class... Args>
requires(!std::is_same_v<std::remove_cvref_t<F>, goroutine_options>) [[gnu::noinline]] void go(F&& f, Args&&... args) {
  goroutine_launch::launch(__builtin_return_address(0), nullptr, std::forward<F>(f), std::forward<Args>(args)...);
}

// The same with a name or a stack size: go({.name = "writer"}, f). Throws std::invalid_argument for a stack above 1 GiB. With a
// name, 32 bytes are the limit for what is not allocated.
template <class F, class... Args>
[[gnu::noinline]] void go(const goroutine_options& options, F&& f, Args&&... args) {
  goroutine_launch::launch(__builtin_return_address(0), &options, std::forward<F>(f), std::forward<Args>(args)...);
}

// How many goroutines may run at the same time. Default: the CPUs that this process may use, by affinity and by cgroup
// quota (rounded up); TURNKEY_MAXPROCS=n overrides it. Go: GOMAXPROCS(0).
[[nodiscard]] int max_procs() noexcept;
// Sets it, returns what it was. Never blocks: takes effect as workers come to their next scheduling point. n < 1, or more
// than 4096, throws std::invalid_argument. Go: GOMAXPROCS(n).
int set_max_procs(int n);
// Goroutines that were started and have not ended; main, an OS thread, is not one. Approximate while they start and end.
// Adds up two counters of each worker. Go: NumGoroutine, which counts main.
[[nodiscard]] std::size_t num_goroutines() noexcept;

// Tells the scheduler, for as long as it lives, that this goroutine is about to block its OS thread; see blocking(), which
// makes one. Belongs to one goroutine's stack. One inside another does nothing.
class blocking_scope {
 public:
  blocking_scope() noexcept;
  ~blocking_scope();
  blocking_scope(const blocking_scope&) = delete;
  blocking_scope& operator=(const blocking_scope&) = delete;

 private:
  void* worker_;
};

// Runs f, which may block its OS thread (a system call, a foreign library), and returns its result, or throws what it throws;
// meanwhile other goroutines get another thread. On an OS thread it just runs f. f may wait in turnkey; but the first such wait
// ends the hint, and what f does afterwards holds its worker again. Afterwards this goroutine may have to wait for its turn, if
// max_procs() others run. While f runs, nobody's waiting is taken for a deadlock. Cost: two atomic read-modify-writes, and a
// wake if others are ready. Go: entering a system call.
template <class F>
decltype(auto) blocking(F&& f) {
  const blocking_scope scope;
  return std::invoke(std::forward<F>(f));
}

// What a thread of control can do about itself. All of it works on an OS thread too.
namespace this_goroutine {

// Lets other goroutines run first; returns at once if there are none. On an OS thread: std::this_thread::yield. Go: Gosched.
void yield() noexcept;
// A number of its own, from 1, never used again; 0 on an OS thread. Those that one thread starts have rising numbers, with
// gaps. Reports show it. Cost: two loads. Go: nothing, on purpose.
[[nodiscard]] std::uint64_t get_id() noexcept;
// Waits until the limit ends: false if a stop ended it, else true. The functions below call it. A goroutine for whose timer
// there is no memory ends the program: "fatal error: out of memory: no room for a timer"; that goes for every timed wait.
bool sleep_within(const wait_limit& limit) noexcept;

// Waits for `period`, at least; returns at once if it is not positive. The worker runs other goroutines. Go: time.Sleep.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& period) {
  sleep_within(wait_limit::after(period));
}
// Waits until `when`, at least; returns at once if that has passed. Go: time.Sleep(time.Until(when)).
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& when) {
  sleep_within(wait_limit::until(when));
}
// The same, but a stop request ends the sleep early: true if it slept in full. False at once if the stop was requested before.
// Go: a select of time.After and ctx.Done().
template <class Rep, class Period>
bool sleep_for(const std::chrono::duration<Rep, Period>& period, std::stop_token token) {
  stop_watch watch(std::move(token));
  return sleep_within(wait_limit::after(period).or_stopped_by(watch));
}
template <class Clock, class Duration>
bool sleep_until(const std::chrono::time_point<Clock, Duration>& when, std::stop_token token) {
  stop_watch watch(std::move(token));
  return sleep_within(wait_limit::until(when).or_stopped_by(watch));
}

}  // namespace this_goroutine

}  // namespace turnkey
