// The contention profile; its public functions are in turnkey/diagnostics.hpp.
#pragma once

namespace turnkey::diagnostics {

// Begins to record, and has the profile written at the end of the process, if TURNKEY_MUTEX_PROFILE says so.
void start_mutex_profile_as_set() noexcept;

}  // namespace turnkey::diagnostics
