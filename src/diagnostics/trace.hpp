// The trace, as the rest of diagnostics sees it; its public functions are in turnkey/trace.hpp.
#pragma once

#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "parking/waiter.hpp"

namespace turnkey::diagnostics {

// For the lock watcher. `who` has the lock now, or is about to unlock it.
void trace_lock(const parking::control& who, const void* lock, parking::reason how) noexcept;
void trace_unlock(const parking::control& who, const void* lock, parking::reason how) noexcept;
// From now on every lock and unlock is told to these two.
void watch_locks_for_trace() noexcept;
// From now on whoever is about to block in the library calls look(w) before, traced or not. One may be set, before main; it must
// not wait for anything of the library's: a channel may be latched.
void call_before_waits(void (*look)(const parking::waiter& w) noexcept) noexcept;

}  // namespace turnkey::diagnostics
