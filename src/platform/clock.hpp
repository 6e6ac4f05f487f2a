// Time, as nanoseconds on the steady clock (CLOCK_MONOTONIC).
#pragma once

#include <cstdint>

namespace turnkey::platform {

// Now. About 20 ns.
std::int64_t now() noexcept;

}  // namespace turnkey::platform
