// turnkey/diagnostics.hpp -- what the library says when something is wrong.
//
// A fatal error writes "fatal error: <what>" to stderr, then who and where, and ends the program with status 2. It can
// not be caught. TURNKEY_FATAL=abort ends it with SIGABRT instead, which leaves a core.
#pragma once

#include <string_view>

namespace turnkey::diagnostics {

// Called with the whole report, in place of writing it to stderr, by the thread of control that found the error; the
// program ends when it returns. It must not use the library, should not allocate, and may be called on a small stack.
using fatal_handler = void (*)(std::string_view report);

// Sets the handler, returns the one before; null stands for stderr. Thread-safe.
fatal_handler set_fatal_handler(fatal_handler handler) noexcept;

}  // namespace turnkey::diagnostics
