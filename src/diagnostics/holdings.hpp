// Which locks each thread of control holds, and since when: known only while somebody wants to know (lock_watcher).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "parking/control.hpp"
#include "parking/reason.hpp"

namespace turnkey::diagnostics {

// One lock that is held. Written by its holder; others may read it, and see what was so at one moment.
struct holding {
  std::atomic<const void*> lock{nullptr};
  std::atomic<std::int64_t> since{0};  // 0: nobody wants to know
  std::atomic<parking::reason> how{};
  std::atomic<bool> is_reported{false};
};

// The locks of one control, in the order in which it took them. Made when it first locks, and its record's for good.
class holdings {
 public:
  // The caller's. Null: no memory.
  static holdings* of(parking::control& who) noexcept;

  void add(const void* lock, parking::reason how, std::int64_t now) noexcept;
  static constexpr std::int64_t not_held = -1;
  // The last one of that lock; since when it was held, or not_held.
  std::int64_t remove(const void* lock) noexcept;
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // i < count(), or any if another than its control asks.
  [[nodiscard]] holding& at(std::uint32_t i) const noexcept;
  [[nodiscard]] const parking::control& who() const noexcept { return *who_; }

  // f(holdings&) for all there are.
  template <class F>
  static void for_each(F f) noexcept {
    for (std::uint32_t i = 1, n = made(); i <= n; ++i) f(*get(i));
  }
  // Out of anybody's, for one that another control than the holder unlocks.
  static void remove_from_any(const void* lock) noexcept;

 private:
  struct block;
  static std::uint32_t made() noexcept;
  static holdings* get(std::uint32_t index) noexcept;
  static holdings* make(parking::control& who) noexcept;

  const parking::control* who_ = nullptr;
  std::uint32_t token_ = 0;  // whose they are
  std::atomic<std::uint32_t> count_{0};
  block* first_ = nullptr;
};

}  // namespace turnkey::diagnostics
