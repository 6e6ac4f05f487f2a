#include "platform/clock.hpp"

#include <ctime>

namespace turnkey::platform {

namespace {

std::int64_t read_clock(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

std::int64_t now() noexcept { return read_clock(CLOCK_MONOTONIC); }
std::int64_t coarse_now() noexcept { return read_clock(CLOCK_MONOTONIC_COARSE); }

}  // namespace turnkey::platform
