// turnkey/wait_limit.hpp -- how long a blocking call may wait: for ever, until a time, until a stop is requested.
//
// Every blocking call of the library comes in three forms, f(), f_for/f_until and f(std::stop_token). All three end
// in one function that takes a wait_limit. You need this header only to write such a call yourself, over
// those of the library; this_goroutine::sleep_within() takes one as it is.
//
// Guarantees: durations and times that do not fit saturate to "for ever"; a time in the past means "do not wait". Nothing here
// allocates, or throws anything but what a clock of the user's throws. Go: a context's deadline and Done channel.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace turnkey {

// Connects a std::stop_token with the wait of one thread of control. It must outlive that wait.
//
// The callback lives in a header, so that ThreadSanitizer sees all of std::stop_token's own synchronisation.
// Cost: one registration with the token's state. Thread-safety: raise() may come from any thread.
class stop_watch {
 public:
  explicit stop_watch(std::stop_token token) : callback_(std::move(token), raiser{this}) {}
  ~stop_watch() { order_raise(); }
  stop_watch(const stop_watch&) = delete;
  stop_watch& operator=(const stop_watch&) = delete;

  // True once a stop was requested. Never blocks.
  [[nodiscard]] bool is_raised() const noexcept;

 private:
  friend class stop_watch_access;
  struct raiser {
    stop_watch* watch;
    void operator()() const noexcept { watch->raise(); }
  };
  void raise() noexcept;
  void order_raise() const noexcept;  // for ThreadSanitizer: raise() happens before what comes next

  // 0: nobody waits; a pointer: who waits; otherwise how far raise() has got. See src/parking/stop_watch.cpp.
  std::atomic<std::uintptr_t> waiter_{0};
  std::stop_callback<raiser> callback_;  // last: its constructor may call raise()
};

// How long a wait may last. A value; copying it is as cheap as copying two words.
class wait_limit {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // No limit.
  constexpr wait_limit() noexcept = default;

  // Until `when`; on a clock other than steady_clock, as far from now as that clock says at this moment.
  template <class Clock, class Duration>
  [[nodiscard]] static wait_limit until(const std::chrono::time_point<Clock, Duration>& when) {
    if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
      return until_steady(saturate(when.time_since_epoch()));
    } else {
      // In floating point, where the difference cannot overflow.
      return after(seconds(when.time_since_epoch()) - seconds(Clock::now().time_since_epoch()));
    }
  }

  // `period` from now. Rounds up to whole nanoseconds.
  template <class Rep, class Period>
  [[nodiscard]] static wait_limit after(const std::chrono::duration<Rep, Period>& period) {
    const std::int64_t wait = saturate(period);
    if (wait <= 0) return until_steady(0);
    const std::int64_t now = saturate(std::chrono::steady_clock::now().time_since_epoch());
    return until_steady(wait > forever - now ? forever : now + wait);
  }

  // Until `watch` is raised; the reference is kept.
  [[nodiscard]] static wait_limit stopped_by(stop_watch& watch) noexcept {
    wait_limit limit;
    limit.watch_ = &watch;
    return limit;
  }

  // The same limit, and no longer than until `watch` is raised.
  [[nodiscard]] wait_limit or_stopped_by(stop_watch& watch) const noexcept {
    wait_limit limit = *this;
    limit.watch_ = &watch;
    return limit;
  }

  // Nanoseconds on the steady clock, or `forever`.
  [[nodiscard]] constexpr std::int64_t deadline() const noexcept { return deadline_; }
  // The watch, or null.
  [[nodiscard]] constexpr stop_watch* watch() const noexcept { return watch_; }
  // True if the wait can only end by what it waits for.
  [[nodiscard]] constexpr bool is_unlimited() const noexcept { return deadline_ == forever && watch_ == nullptr; }

  static constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

 private:
  using seconds = std::chrono::duration<long double>;

  static wait_limit until_steady(std::int64_t nanoseconds) noexcept {
    wait_limit limit;
    limit.deadline_ = nanoseconds;
    return limit;
  }

  template <class Rep, class Period>
  static std::int64_t saturate(const std::chrono::duration<Rep, Period>& period) {
    constexpr long double limit = 9.2e9L;  // 292 years, what 63 bits of nanoseconds hold
    const long double length = std::chrono::duration_cast<seconds>(period).count();
    if (!(length < limit)) return forever;  // a NaN waits for ever, as a comparison with it never comes true
    if (length <= -limit) return 0;
    return std::chrono::ceil<std::chrono::nanoseconds>(period).count();
  }

  std::int64_t deadline_ = forever;
  stop_watch* watch_ = nullptr;
};

}  // namespace turnkey
