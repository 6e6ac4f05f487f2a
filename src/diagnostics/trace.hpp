// The trace, as the rest of diagnostics sees it; its public functions are in turnkey/trace.hpp.
#pragma once

#include "parking/control.hpp"
#include "parking/reason.hpp"

namespace turnkey::diagnostics {

// For the lock watcher. `who` has the lock now, or is about to unlock it.
void trace_lock(const parking::control& who, const void* lock, parking::reason how) noexcept;
void trace_unlock(const parking::control& who, const void* lock, parking::reason how) noexcept;
// From now on every lock and unlock is told to these two.
void watch_locks_for_trace() noexcept;

}  // namespace turnkey::diagnostics
