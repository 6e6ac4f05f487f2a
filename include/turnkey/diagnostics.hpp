// turnkey/diagnostics.hpp -- what the library says when something is wrong.
//
// A fatal error writes "fatal error: <what>" to stderr, then who and where, and ends the program with status 2. It can
// not be caught. TURNKEY_FATAL=abort ends it with SIGABRT instead, which leaves a core.
#pragma once

#include <string>
#include <string_view>

namespace turnkey::diagnostics {

// Called with the whole report, in place of writing it to stderr, by the thread of control that found the error; the
// program ends when it returns. It must not use the library, should not allocate, and may be called on a small stack.
using fatal_handler = void (*)(std::string_view report);

// Sets the handler, returns the one before; null stands for stderr. Thread-safe.
fatal_handler set_fatal_handler(fatal_handler handler) noexcept;

// The contention profile: where locks are held while others wait for them. Charged as Go charges it: when a mutex or an
// rw_mutex is unlocked (by a writer, or by the last reader) and somebody is waiting in its queue, the stack of the one
// that unlocks is charged with one contention and with the time that all who wait have waited since they were last
// charged for. Waits that are not over are not in it; nor are those of some microseconds that end without a sleep.
//
// TURNKEY_MUTEX_PROFILE=FILE records from the start and writes FILE when the process exits; TURNKEY_MUTEX_PROFILE_FRACTION
// sets the rate, 1 unless it is set. Look at it with `go tool pprof FILE`, or whatever reads pprof's format.

// Records one in `rate` contentions on average, each counted `rate` times; 0 records none and is the default; a negative
// rate changes nothing. Returns the rate before. Thread-safe.
int set_mutex_profile_fraction(int rate) noexcept;

// Writes what has been recorded so far, in the format of pprof (profile.proto, gzipped); false if it cannot be written.
// Thread-safe. Wants memory, and throws nothing.
bool write_mutex_profile(const std::string& path) noexcept;

}  // namespace turnkey::diagnostics
