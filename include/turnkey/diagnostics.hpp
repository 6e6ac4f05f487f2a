// turnkey/diagnostics.hpp -- what the library says when something is wrong.
//
//   turnkey::diagnostics::name(mu, "accounts");     // what reports call it
//   turnkey::diagnostics::dump(std::cerr);          // what everybody does and waits for, now
//
// A fatal error writes "fatal error: <what>" to stderr, then who and where, and ends the program with status 2. It can
// not be caught. TURNKEY_FATAL=abort ends it with SIGABRT instead, which leaves a core.
//
// Without a call, and unless it is switched off:
//   everybody waits, and nobody can wake them     "fatal error: all goroutines are asleep - deadlock!", then all who wait
//   untimed waits for locks have closed a cycle   "deadlock: lock cycle", then who waits for which lock and who holds it; the
//     program goes on. TURNKEY_DEADLOCK=fatal: it ends; =off: nobody looks
// Only if asked for: TURNKEY_LOCK_ORDER, TURNKEY_HELD, TURNKEY_SLOW_WAIT, TURNKEY_OS_MUTEX; see docs/diagnostics.md.
// All functions may be called from goroutines and OS threads, at any time, concurrently.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include <turnkey/channel_core.hpp>
#include <turnkey/trace.hpp>

namespace turnkey::diagnostics {

// Called with the whole report, in place of writing it to stderr, by the thread of control that found the error; the
// program ends when it returns. It must not use the library, should not allocate, and may be called on a small stack.
using fatal_handler = void (*)(std::string_view report);

// Sets the handler, returns the one before; null stands for stderr. It gets panics as well. Go: debug.SetCrashOutput.
fatal_handler set_fatal_handler(fatal_handler handler) noexcept;

// What name() below calls, with the address by which reports know the object. Not for direct use.
void name_object(const void* object, std::string_view name);

// The name that every report shows for a mutex, rw_mutex, chan or whatever else is waited for: `mutex "accounts" 0x...`.
// Copied, the first 63 bytes are kept; a new name takes the place of the old one, and an empty one takes it away. It is
// the address that has the name: take it away before another object comes to live there.
// Throws std::bad_alloc. Cost: an allocation that stays; name objects that live long. Go: nothing like it.
template <class T>
void name(const T& object, std::string_view name) {
  if constexpr (std::is_base_of_v<channel_handle, T>) {
    name_object(channel_access::core(object), name);
  } else {
    name_object(std::addressof(object), name);
  }
}

// Writes what everybody does: every goroutine with what it does or waits for and since when, who holds that, its stack, and
// where it was started; then every OS thread that waits in the library. Those that do the same have one entry. For people:
// the form may change. The program goes on meanwhile, so it is no single moment that is shown. To look at goroutines that
// run and at threads it interrupts these with SIGURG: system calls in them may return EINTR. Not for signal handlers. Throws
// what the stream throws. Cost: a walk of every stack, and finding the words for those that differ.
// SIGQUIT writes the same to stderr and ends the program with status 2, if the program has no handler of its own by the first
// go(). TURNKEY_DUMP=continue: and the program goes on. TURNKEY_DUMP=off: SIGQUIT is left alone. Go: goroutine profile.
void dump(std::ostream& to);

// The contention profile: where locks are held while others wait for them. Charged as Go charges it: when a mutex or an
// rw_mutex is unlocked (by a writer, or by the last reader) and somebody is waiting in its queue, the stack of the one
// that unlocks is charged with one contention and with the time that all who wait have waited since they were last
// charged for. Waits that are not over are not in it; nor are those of some microseconds that end without a sleep.
//
// TURNKEY_MUTEX_PROFILE=FILE records from the start and writes FILE when the process exits; TURNKEY_MUTEX_PROFILE_FRACTION
// sets the rate, 1 unless it is set. TURNKEY_MUTEX_PROFILE_HELD=1 adds how long locks are held, contended or not, charged to
// who unlocks; then every lock costs what it costs with TURNKEY_HELD, and a walk of the stack. Look at it with
// `go tool pprof FILE`, or whatever reads pprof's format.

// Records one in `rate` contentions on average, each counted `rate` times; 0 records none and is the default; a negative
// rate changes nothing. Returns the rate before. Go: runtime.SetMutexProfileFraction.
int set_mutex_profile_fraction(int rate) noexcept;

// Writes what has been recorded so far, in the format of pprof (profile.proto, gzipped); false if it cannot be written.
// Wants memory, and throws nothing. Blocks on the file. Go: pprof.Lookup("mutex").WriteTo.
bool write_mutex_profile(const std::string& path) noexcept;

}  // namespace turnkey::diagnostics
