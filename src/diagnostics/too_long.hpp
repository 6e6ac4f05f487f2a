// TURNKEY_HELD and TURNKEY_SLOW_WAIT: what takes long is reported while it lasts.
#pragma once

#include <cstdint>

namespace turnkey::diagnostics {

// Reports each lock that is held, and each wait that lasts, longer than so many nanoseconds; 0: none. Starts a thread.
void watch_for_long(std::int64_t hold, std::int64_t wait) noexcept;

}  // namespace turnkey::diagnostics
