// What is to be known of every lock: TURNKEY_LOCK_ORDER, TURNKEY_HELD, TURNKEY_MUTEX_PROFILE_HELD, and the trace; and of every
// long wait: TURNKEY_SLOW_WAIT. Without them nobody watches, and nothing is paid.
#include <cstdint>

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
using parking::reason;

// Set before main.
constinit bool is_order_watched = false;
constinit bool is_time_watched = false;
constinit bool is_profiled = false;
constinit bool is_traced = false;  // set by start_trace() as well, before there are others

void wants(control& who, const void* lock, reason how, bool is_new) noexcept {
  if (!is_order_watched) return;
  if (const holdings* const mine = holdings::of(who)) check_lock_order(who, *mine, lock, how, is_new);
}

void locked_at_once(control& who, const void* lock, reason how, bool is_new) noexcept {
  if (is_traced) trace_lock(who, lock, how);
  if (!is_order_watched && !is_time_watched) return;
  holdings* const mine = holdings::of(who);
  if (mine == nullptr) return;
  if (is_order_watched) check_lock_order(who, *mine, lock, how, is_new);
  mine->add(lock, how, is_time_watched ? platform::now() : 0);
}

void locked(control& who, const void* lock, reason how) noexcept {
  if (is_traced) trace_lock(who, lock, how);
  if (!is_order_watched && !is_time_watched) return;
  if (holdings* const mine = holdings::of(who)) mine->add(lock, how, is_time_watched ? platform::now() : 0);
}

void unlocks(control& who, const void* lock, reason how) noexcept {
  if (is_traced) trace_unlock(who, lock, how);
  if (!is_order_watched && !is_time_watched) return;
  holdings* const mine = holdings::of(who);
  const std::int64_t since = mine != nullptr ? mine->remove(lock) : holdings::not_held;
  if (since == holdings::not_held) {
    holdings::remove_from_any(lock);
  } else if (is_profiled) {
    record_hold(platform::now() - since);
  }
}

constexpr parking::lock_watcher watcher{wants, locked_at_once, locked, unlocks};

}  // namespace

void watch_locks_for_trace() noexcept {
  is_traced = true;
  parking::watch_locks(watcher);
}

void watch_locks(bool for_profile) noexcept {
  enum { off, on };
  is_order_watched = platform::environment_choice("TURNKEY_LOCK_ORDER", {"0", "1"}, off) == on;
  const std::int64_t longest_hold = platform::environment_duration("TURNKEY_HELD", 0);
  is_profiled = for_profile;
  is_time_watched = longest_hold != 0 || is_profiled;
  if (is_order_watched || is_time_watched) parking::watch_locks(watcher);
  watch_for_long(longest_hold, platform::environment_duration("TURNKEY_SLOW_WAIT", 0));
}

}  // namespace turnkey::diagnostics
