// What a wait does with a stop_watch.
#pragma once

#include <turnkey/wait_limit.hpp>

#include "parking/waiter.hpp"

namespace turnkey {

class stop_watch_access {
 public:
  // From now on a stop request alarms `waiter`. False if the stop was requested before.
  static bool enter(stop_watch& watch, parking::waiter& waiter) noexcept;
  // Afterwards no stop request touches the waiter.
  static void leave(stop_watch& watch) noexcept;
};

// For ThreadSanitizer only. std::stop_callback's destructor takes itself for part of the callback when it runs on the thread
// that requested the stop, and then synchronises with nothing. Goroutines share threads: the one that was stopped may run
// where the one that stopped it has just left. Called when a goroutine leaves the CPU: what it did to the callbacks it has
// raised happens before what the stopped ones do.
void release_raised_stops() noexcept;

}  // namespace turnkey
