// turnkey/timer.hpp -- what is to happen later: once, again and again, or unless it is stopped.
//
//   turnkey::select(turnkey::on_recv(answers, use), turnkey::on_recv(turnkey::after(2s), give_up));
//
//   turnkey::ticker every(100ms);
//   for (auto due : every.channel()) refresh(due);
//
//   auto call = turnkey::run_after(5s, [] { reconnect(); });
//   if (call.stop()) std::puts("not needed any more");
//
// A tick is the time at which it was due, on the steady clock, however late it is received. Timers cost no thread, and
// those that nobody waits for cost nothing but their memory. Any number may be started, at O(log n) or less.
//
// Guarantees, as in Go since 1.23
//   A tick never comes early. Once stop() or reset() has returned, no tick from before can be received.
//   Their channels look unbuffered: size and capacity are 0. They are never closed.
//   Durations that are not positive are over at once; those that do not fit saturate.
//   Order: what was done before the start, or the reset, of a timer is seen by whoever receives its tick, and by the function
//   of run_after.
//   Deadlocks: a pending run_after could still wake somebody; a timer or ticker could as long as somebody waits for its
//   channel.
// A timer that somebody waits for, or a reset, for which there is no memory ends the program: "fatal error: out of memory: no
// room for a timer". All members may be called from goroutines and OS threads, at the same time, but for destruction and
// assignment. None blocks; one waits by receiving from the channel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include <turnkey/chan.hpp>
#include <turnkey/go.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// A duration in whole nanoseconds, rounded up; what does not fit saturates. Not for direct use.
template <class Rep, class Period>
[[nodiscard]] std::int64_t timer_nanoseconds(const std::chrono::duration<Rep, Period>& period) {
  // As far from the steady clock's epoch: a wait_limit knows how to round and saturate.
  using time_point = std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<Rep, Period>>;
  return wait_limit::until(time_point(period)).deadline();
}

// The library's half of timers with a channel. Not for direct use.
class tick_source {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  // First due in `nanoseconds`, then every `period` if that is not 0. Throws std::bad_alloc, or std::system_error if not
  // even one thread can be had.
  static receiver<time_point> make(std::int64_t nanoseconds, std::int64_t period);
  // Of a channel that was made so.
  static bool stop(const receiver<time_point>& channel) noexcept;
  static bool reset(const receiver<time_point>& channel, std::int64_t nanoseconds, std::int64_t period) noexcept;
  // Throws std::invalid_argument(complaint) unless it is positive.
  static std::int64_t checked_period(std::int64_t nanoseconds, const char* complaint);
};

// A channel that gets one tick, `period` from now. It is received once, by one of those who wait; the next receive waits for
// ever. Nothing is left of it when its last handle goes, due or not. Throws std::bad_alloc, or std::system_error if not even
// one thread can be had. One allocation. Go: time.After.
template <class Rep, class Period>
[[nodiscard]] receiver<tick_source::time_point> after(const std::chrono::duration<Rep, Period>& period) {
  return tick_source::make(timer_nanoseconds(period), 0);
}

// One tick, that can be stopped and started again. Throws and costs as after(). Go: time.Timer.
class timer {
 public:
  using time_point = tick_source::time_point;

  // Due `period` from now. Throws as after() does. Go: NewTimer.
  template <class Rep, class Period>
  explicit timer(const std::chrono::duration<Rep, Period>& period) : channel_(after(period)) {}
  timer(const timer&) = delete;             // cannot be copied: stop() is about one timer
  timer& operator=(const timer&) = delete;  // cannot be copied
  // Stops it. The channel stays as long as somebody has a handle, open: whoever receives from it waits on.
  ~timer() { stop(); }

  // Where the tick comes. The same for as long as the timer lives; a copy of the handle may live longer. Go: C.
  [[nodiscard]] const receiver<time_point>& channel() const noexcept { return channel_; }
  // No tick comes any more. True if that prevented one: since the last start none has been received; false if it has, or
  // the timer was stopped before. Never blocks. Go: Stop.
  bool stop() noexcept { return tick_source::stop(channel_); }
  // Stops it, and starts it anew: due `period` from now. Returns what stop() would have. Go: Reset.
  template <class Rep, class Period>
  bool reset(const std::chrono::duration<Rep, Period>& period) noexcept {
    return tick_source::reset(channel_, timer_nanoseconds(period), 0);
  }

 private:
  receiver<time_point> channel_;
};

// A tick every `period`. It keeps to its rhythm: the n-th is due n periods after the start. Ticks that come due while one
// has not been received yet are dropped. Go: time.Ticker.
class ticker {
 public:
  using time_point = tick_source::time_point;

  // The first is due `period` from now. Throws as after() does, and std::invalid_argument("non-positive interval for
  // NewTicker"). Go: NewTicker.
  template <class Rep, class Period>
  explicit ticker(const std::chrono::duration<Rep, Period>& period)
      : ticker(tick_source::checked_period(timer_nanoseconds(period), "non-positive interval for NewTicker")) {}
  ticker(const ticker&) = delete;             // cannot be copied: stop() is about one ticker
  ticker& operator=(const ticker&) = delete;  // cannot be copied
  // As timer's.
  ~ticker() { stop(); }

  // Where the ticks come; as timer's. Go: C.
  [[nodiscard]] const receiver<time_point>& channel() const noexcept { return channel_; }
  // No tick comes any more; whoever receives waits on. Never blocks. Go: Stop.
  void stop() noexcept { tick_source::stop(channel_); }
  // Stops it, and starts it anew with this period, also if it was stopped. Throws std::invalid_argument("non-positive
  // interval for Ticker.Reset"); the ticker then goes on as before. Go: Reset.
  template <class Rep, class Period>
  void reset(const std::chrono::duration<Rep, Period>& period) {
    const std::int64_t every =
        tick_source::checked_period(timer_nanoseconds(period), "non-positive interval for Ticker.Reset");
    tick_source::reset(channel_, every, every);
  }

 private:
  explicit ticker(std::int64_t period) : channel_(tick_source::make(period, period)) {}

  receiver<time_point> channel_;
};

// A call that run_after has put off. Movable; the handle of no call if it was moved from or default-constructed.
// Destroying it does not stop the call. Go: the Timer that AfterFunc returns.
class delayed_call {
 public:
  delayed_call() noexcept = default;
  delayed_call(delayed_call&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  delayed_call& operator=(delayed_call&& other) noexcept {
    delayed_call(std::move(other)).swap(*this);
    return *this;
  }
  ~delayed_call() {
    if (entry_ != nullptr) release(entry_);
  }
  void swap(delayed_call& other) noexcept { std::swap(entry_, other.entry_); }

  // Prevents the call, if it has not begun: true if it never will. False: its goroutine has been started, and may have
  // ended; or somebody has stopped it before. Never waits for the function. One that was prevented is destroyed before
  // stop returns. The handle of no call: false. May be called from anywhere, any number of times. O(log n). Go: Stop.
  bool stop() noexcept;

 private:
  friend class delayed_launch;
  struct entry;
  explicit delayed_call(entry* e) noexcept : entry_(e) {}
  static void release(entry* e) noexcept;

  entry* entry_ = nullptr;
};

// The library's half of run_after(): room for a callable, then the start. Not for direct use.
class delayed_launch {
 public:
  // Reserves a goroutine with room for `size` bytes; `site` as in goroutine_launch; `destroy` is for a callable that does not
  // come to run.
  delayed_launch(const void* site, std::size_t size, std::size_t align, void (*run)(void*), void (*destroy)(void*));
  ~delayed_launch();  // gives it back if it was not started
  delayed_launch(const delayed_launch&) = delete;
  delayed_launch& operator=(const delayed_launch&) = delete;

  [[nodiscard]] void* room() const noexcept;
  // The callable has been put into the room. If this throws (std::bad_alloc), it has been destroyed.
  [[nodiscard]] delayed_call start(std::int64_t nanoseconds);

 private:
  delayed_call::entry* entry_;
};

// Runs f() in a goroutine of its own, `period` from now at the earliest; at once if that is not positive. f is decay-copied;
// its result is dropped; an exception that leaves it ends the program, as that of any goroutine. Never blocks. A null
// function pointer or empty std::function is fatal: "go of nil func value".
// While it is pending, nobody's waiting is taken for a deadlock. What was done before run_after is seen by f.
// Throws what go() throws; nothing was started then. Cost: O(log n), no thread, no stack before it runs. Go: AfterFunc.
template <class Rep, class Period, class F>
[[gnu::noinline]] delayed_call run_after(const std::chrono::duration<Rep, Period>& period, F&& f) {
  using callable = std::decay_t<F>;
  static_assert(std::is_invocable_v<callable>, "run_after(d, f): f must be callable without arguments");
  goroutine_launch::refuse_null(f);
  delayed_launch call(
      __builtin_return_address(0), sizeof(callable), alignof(callable),
      [](void* room) {
        callable& mine = *static_cast<callable*>(room);
        static_cast<void>(std::invoke(std::move(mine)));
        mine.~callable();
      },
      [](void* room) { static_cast<callable*>(room)->~callable(); });
  ::new (call.room()) callable(std::forward<F>(f));
  return call.start(timer_nanoseconds(period));
}

}  // namespace turnkey
