// What everybody does, as the dump and the report of a deadlock write it.
#pragma once

#include "parking/control.hpp"
#include "platform/report.hpp"

namespace turnkey::diagnostics {

// What that one does, and its stack. The caller's own, too.
void write_control(platform::text& out, const parking::control& who) noexcept;
// Only the stack. `who` says that it waits for a lock: if it has not parked yet, it is waited for, not for long.
void write_stack(platform::text& out, const parking::control& who) noexcept;

// `goroutine 7 "writer" [chan receive, 1.2 s]: waits on channel 0x..., 0 of 16`, the stack, and who created it; those alike
// have one stack, and one line if they wait for the same thing. An empty line before each. False: there is none.
bool write_goroutines(platform::text& out) noexcept;
// `thread 4711 [sync.Mutex.Lock, 3 s]: ...` and the stack of every thread that waits in the library.
bool write_threads(platform::text& out) noexcept;

}  // namespace turnkey::diagnostics
