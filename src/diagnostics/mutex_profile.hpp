// The contention profile; its public functions are in turnkey/diagnostics.hpp.
#pragma once

#include <cstdint>

namespace turnkey::diagnostics {

// Begins to record, and has the profile written at the end of the process, if TURNKEY_MUTEX_PROFILE says so. True: it is to
// be told of every hold too (TURNKEY_MUTEX_PROFILE_HELD).
bool start_mutex_profile_as_set() noexcept;

// The caller unlocks a lock that it has held for so many nanoseconds.
void record_hold(std::int64_t held) noexcept;

}  // namespace turnkey::diagnostics
