// How eagerly rw_mutexes are spread: see "When to spread" in lock_spread.cpp. Tests want it more often.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey {

struct spread_policy {
  std::atomic<std::int32_t> reads{64};               // that a thread counts in words before it tries again
  std::atomic<std::int64_t> shortest_rest{500'000};  // ns after a lock was armed
};
extern spread_policy spreading;

}  // namespace turnkey
