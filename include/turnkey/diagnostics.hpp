// turnkey/diagnostics.hpp -- what the library says when something is wrong.
//
// A fatal error writes "fatal error: <what>" to stderr, then who and where, and ends the program with status 2. It can
// not be caught. TURNKEY_FATAL=abort ends it with SIGABRT instead, which leaves a core.
#pragma once

#include <iosfwd>
#include <string_view>

namespace turnkey::diagnostics {

// Called with the whole report, in place of writing it to stderr, by the thread of control that found the error; the
// program ends when it returns. It must not use the library, should not allocate, and may be called on a small stack.
using fatal_handler = void (*)(std::string_view report);

// Sets the handler, returns the one before; null stands for stderr. Thread-safe.
fatal_handler set_fatal_handler(fatal_handler handler) noexcept;

// Writes what everybody does: every goroutine with what it does or waits for and since when, who holds that, its stack, and
// where it was started; then every OS thread that waits in the library. Those that do the same have one entry. For people:
// the form may change. The program goes on meanwhile, so it is no single moment that is shown. To look at goroutines that
// run and at threads it interrupts these with SIGURG: system calls in them may return EINTR. Not for signal handlers.
// SIGQUIT writes the same to stderr and ends the program with status 2, if the program has no handler of its own by the first
// go(). TURNKEY_DUMP=continue: and the program goes on. TURNKEY_DUMP=off: SIGQUIT is left alone. Go: goroutine profile.
void dump(std::ostream& to);

}  // namespace turnkey::diagnostics
