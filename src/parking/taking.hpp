// What a lock_watcher is told of.
#pragma once

#include <cstdint>

#include "parking/reason.hpp"

namespace turnkey::parking {

// A lock, and how it is taken, in a word: the last two bits of a lock's address are free.
class taking {
 public:
  constexpr taking() noexcept = default;  // none
  taking(const void* lock, reason how) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(lock) | static_cast<std::uintptr_t>(how)) {}

  // Null: another than its holder has unlocked it.
  [[nodiscard]] const void* lock() const noexcept { return reinterpret_cast<const void*>(word_ & ~how_mask); }
  [[nodiscard]] reason how() const noexcept { return static_cast<reason>(word_ & how_mask); }
  [[nodiscard]] std::uintptr_t word() const noexcept { return word_; }
  friend bool operator==(const taking&, const taking&) = default;

 private:
  static constexpr std::uintptr_t how_mask = 3;
  static_assert(static_cast<std::uintptr_t>(reason::rw_mutex_lock_shared) <= how_mask);
  std::uintptr_t word_ = 0;
};

}  // namespace turnkey::parking
