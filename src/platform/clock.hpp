// Time, as nanoseconds on the steady clock (CLOCK_MONOTONIC).
#pragma once

#include <cstdint>

namespace turnkey::platform {

// Now. About 20 ns.
std::int64_t now() noexcept;
// Now, up to one timer tick (1 to 10 ms) late. About 4 ns.
std::int64_t coarse_now() noexcept;

}  // namespace turnkey::platform
