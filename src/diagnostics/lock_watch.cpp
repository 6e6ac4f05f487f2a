// What is to be known of every lock: TURNKEY_LOCK_ORDER, TURNKEY_HELD, TURNKEY_MUTEX_PROFILE_HELD, and the trace; and of every
// long wait: TURNKEY_SLOW_WAIT. Without them nobody watches, and nothing is paid.
#include <array>
#include <cstdint>
#include <utility>

#include "diagnostics/holdings.hpp"
#include "diagnostics/install.hpp"
#include "diagnostics/lock_order.hpp"
#include "diagnostics/mutex_profile.hpp"
#include "diagnostics/too_long.hpp"
#include "diagnostics/trace.hpp"
#include "parking/hooks.hpp"
#include "platform/clock.hpp"
#include "platform/environment.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;

// What is wanted, together. Set before main; by start_trace() as well, before there are others.
enum : unsigned { order = 1, times = 2, trace = 4, all_of_it = order | times | trace };
constinit unsigned wanted = 0;
constinit bool is_profiled = false;

// The watcher's functions, for each combination of what is wanted: a lock that is watched is to pay for that only.

template <unsigned About>
void is_new(const void* lock) noexcept {
  if constexpr ((About & order) != 0) forget_lock(lock);
}

template <unsigned About>
void wants(control& who, taking what) noexcept {
  if constexpr ((About & order) == 0) return;
  const holdings::end mine = holdings::end_of(who);
  if (!mine) return;
  check_lock_order(who, mine, what, mine.fingerprint_with(what));
}

template <unsigned About, bool MakesOrder>
[[gnu::noinline]] void locked_slowly(control& who, taking what) noexcept {
  if constexpr ((About & trace) != 0) trace_lock(who, what.lock(), what.how());
  if constexpr ((About & (order | times)) == 0) return;
  const holdings::end mine = holdings::end_of(who);
  if (!mine) return;
  const std::uint64_t fingerprint = mine.fingerprint_with(what);
  if constexpr ((About & order) != 0 && MakesOrder) check_lock_order(who, mine, what, fingerprint);
  mine.add(what, fingerprint, (About & times) != 0 ? platform::now() : 0);
}

template <unsigned About>
[[gnu::noinline]] void unlocks_slowly(control& who, taking what) noexcept {
  if constexpr ((About & trace) != 0) trace_unlock(who, what.lock(), what.how());
  if constexpr ((About & (order | times)) == 0) return;
  const holdings::end mine = holdings::end_of(who);
  const std::int64_t since = mine ? mine.remove(what) : holdings::not_held;
  if (since == holdings::not_held) {
    holdings::remove_from_any(what.lock());
  } else if ((About & times) != 0 && is_profiled) {
    record_hold(platform::now() - since);
  }
}

// What these two do most of the time, if only orders are wanted, takes neither a call nor a stack frame.

template <unsigned About, bool MakesOrder>
void locked(control& who, taking what) noexcept {
  if constexpr (About == order) {
    if (const holdings::end mine = holdings::quick_end_of(who)) [[likely]] {
      const std::uint64_t fingerprint = mine.fingerprint_with(what);
      if (!MakesOrder || is_order_familiar(mine, fingerprint)) [[likely]] {
        mine.add(what, fingerprint, 0);
        return;
      }
    }
  }
  locked_slowly<About, MakesOrder>(who, what);
}

template <unsigned About>
void unlocks(control& who, taking what) noexcept {
  if constexpr (About == order) {
    if (const holdings::end mine = holdings::quick_end_of(who); mine && mine.is_last(what)) [[likely]] {
      mine.remove_last();
      return;
    }
  }
  unlocks_slowly<About>(who, what);
}

template <unsigned... About>
constexpr auto make_watchers(std::integer_sequence<unsigned, About...> /*all*/) noexcept {
  return std::array{
      parking::lock_watcher{is_new<About>, wants<About>, locked<About, true>, locked<About, false>, unlocks<About>}...};
}
constexpr auto watchers = make_watchers(std::make_integer_sequence<unsigned, all_of_it + 1>());

void watch_for(unsigned what) noexcept {
  wanted |= what;
  if (wanted != 0) parking::watch_locks(watchers[wanted]);
}

}  // namespace

void watch_locks_for_trace() noexcept { watch_for(trace); }

void watch_locks(bool for_profile) noexcept {
  enum { off, on };
  const bool for_order = platform::environment_choice("TURNKEY_LOCK_ORDER", {"0", "1"}, off) == on;
  const std::int64_t longest_hold = platform::environment_duration("TURNKEY_HELD", 0);
  is_profiled = for_profile;
  watch_for((for_order ? order : 0u) | (longest_hold != 0 || for_profile ? times : 0u));
  watch_for_long(longest_hold, platform::environment_duration("TURNKEY_SLOW_WAIT", 0));
}

}  // namespace turnkey::diagnostics
