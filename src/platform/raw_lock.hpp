// The lock that the library's own slow paths use: it blocks the OS thread, never a goroutine, and is never held across
// a switch. Four bytes: 0 free, 1 held, 2 held and somebody may sleep.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/cpu.hpp"
#include "platform/futex.hpp"

namespace turnkey::platform {

class raw_lock {
 public:
  constexpr raw_lock() noexcept = default;
  raw_lock(const raw_lock&) = delete;
  raw_lock& operator=(const raw_lock&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    // order: acquire -- pairs with the release in unlock(): what the last holder wrote is seen.
    if (!word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) lock_slow();
  }
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    // order: release -- pairs with the acquires in lock().
    if (word_.exchange(0, std::memory_order_release) == 2) futex_wake_one(word_);
  }

 private:
  void lock_slow() noexcept {
    for (int round = 0; round < (is_multiprocessor() ? 30 : 0); ++round) {
      pause();
      if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0) futex_wait(word_, 2);
  }

  std::atomic<std::uint32_t> word_{0};
};

}  // namespace turnkey::platform
