// While one lives, an rw_mutex is spread after few reads: see "Spread and armed" in sync/lock_core.hpp.
#pragma once

#include <turnkey/rw_mutex.hpp>

#include <chrono>
#include <cstdint>

#include "sync/lock_spread.hpp"

namespace support {

class eager_spreading {
 public:
  // After so many that one thread counts in words, though at first as many as the policy before said, and after such a rest.
  // Without a rest none gets longer.
  explicit eager_spreading(std::int32_t reads = 1, std::chrono::nanoseconds rest = {}) noexcept {
    turnkey::spreading.reads = reads;
    turnkey::spreading.shortest_rest = rest.count();
  }
  eager_spreading(const eager_spreading&) = delete;
  eager_spreading& operator=(const eager_spreading&) = delete;
  ~eager_spreading() {
    turnkey::spreading.reads = reads_;
    turnkey::spreading.shortest_rest = rest_;
  }

 private:
  std::int32_t reads_ = turnkey::spreading.reads;
  std::int64_t rest_ = turnkey::spreading.shortest_rest;
};

}  // namespace support
