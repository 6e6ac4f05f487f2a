// When a timer that is to run for a while is due.
#pragma once

#include <cstdint>

#include "platform/clock.hpp"
#include "platform/futex.hpp"

namespace turnkey {

// That many nanoseconds from now; now if they are not positive. One that is too far away is the last that there is: it is
// pending like any other.
inline std::int64_t deadline_after(std::int64_t nanoseconds) noexcept {
  const std::int64_t now = platform::now();
  if (nanoseconds <= 0) return now;
  constexpr std::int64_t last = platform::no_deadline - 1;
  return nanoseconds > last - now ? last : now + nanoseconds;
}

}  // namespace turnkey
