// Small numbers that are handed out and given back, without a lock; and arrays for what they name.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace turnkey::platform {

// A large array for static storage, of a T whose bytes are all 0 to begin with. Costs memory as far as it is used, and the
// compiler nothing: it would construct the elements of an array of atomics one by one.
template <class T, std::size_t Size>
class zeroed_array {
 public:
  constexpr zeroed_array() noexcept = default;
  T& operator[](std::size_t i) noexcept { return reinterpret_cast<T*>(bytes_)[i]; }

 private:
  alignas(T) std::byte bytes_[Size * sizeof(T)] = {};
};

// The numbers 1 ... Size - 1. For static storage.
//
// Given-back numbers form a stack through next_. Its head carries a count of changes in its upper half, so that a take()
// that was overtaken by a take and a give of the same number fails and looks again.
template <std::uint32_t Size>
class id_pool {
 public:
  constexpr id_pool() noexcept = default;
  id_pool(const id_pool&) = delete;
  id_pool& operator=(const id_pool&) = delete;

  // A number that nobody has, or 0. What was done before it was given back is seen.
  std::uint32_t take() noexcept {
    // order: acquire -- pairs with the release in give().
    std::uint64_t head = head_.load(std::memory_order_acquire);
    while (top(head) != 0) {
      const std::uint32_t next = next_[top(head)].load(std::memory_order_relaxed);
      // order: acquire -- on failure, as above; on success nothing is published.
      if (head_.compare_exchange_weak(head, changed(head, next), std::memory_order_acquire,
                                      std::memory_order_acquire)) {
        return top(head);
      }
    }
    std::uint32_t used = used_.load(std::memory_order_relaxed);
    while (used < Size - 1) {
      if (used_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed)) return used + 1;
    }
    return 0;
  }

  void give(std::uint32_t id) noexcept {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      next_[id].store(top(head), std::memory_order_relaxed);
      // order: release -- pairs with the acquires in take(): next_, and what the giver did with the number.
    } while (
        !head_.compare_exchange_weak(head, changed(head, id), std::memory_order_release, std::memory_order_relaxed));
  }

 private:
  static constexpr std::uint32_t top(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head); }
  static constexpr std::uint64_t changed(std::uint64_t head, std::uint32_t top) noexcept {
    return (((head >> 32) + 1) << 32) | top;
  }

  std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint32_t> used_{0};  // numbers that were ever handed out
  zeroed_array<std::atomic<std::uint32_t>, Size> next_;
};

}  // namespace turnkey::platform
