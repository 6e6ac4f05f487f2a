// The goroutines that are ready to run on one worker. Its owner pushes and pops; thieves take from the same end as the
// owner's pop, so it is first in, first out.
//
// A ring: [head, tail) are filled. The owner alone moves tail; head is moved by whoever takes: see queue_ownership.hpp. What
// does not fit goes to the overflow queue under a lock, and back from it half a ring at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/queue_ownership.hpp"

namespace turnkey::runtime {

class goroutine;

class run_queue {
 public:
  static constexpr std::uint32_t capacity = 1024;

  // Owner only. False: full.
  bool push(goroutine* g) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // order: acquire -- pairs with the releases of head_: the slot's last reader is through with it.
    if (tail - head_.load(std::memory_order_acquire) == capacity) return false;
    slots_[tail % capacity].store(g, std::memory_order_relaxed);
    // order: release -- pairs with the acquires of tail_: the slot, and the goroutine in it.
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Owner only. Null: empty.
  goroutine* pop(queue_ownership& mine) noexcept {
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    while (head != tail_.load(std::memory_order_relaxed)) {
      goroutine* const g = slots_[head % capacity].load(std::memory_order_relaxed);
      if (mine.change(head_, head, head + 1)) return g;
    }
    return nullptr;
  }

  // Owner only, a guess if somebody steals: the one that comes after `n` others. Null: there are not that many.
  [[nodiscard]] goroutine* peek(std::uint32_t n) const noexcept {
    if (size() <= n) return nullptr;
    return slots_[(head_.load(std::memory_order_relaxed) + n) % capacity].load(std::memory_order_relaxed);
  }

  // Takes the first, for a thief on a visit. Null: empty.
  goroutine* steal_one() noexcept {
    // order: acquire -- see push() and steal_half().
    std::uint32_t head = head_.load(std::memory_order_acquire);
    while (head != tail_.load(std::memory_order_acquire)) {
      goroutine* const g = slots_[head % capacity].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire)) return g;
    }
    return nullptr;
  }

  // Moves half of `victim`, on a visit to it, into this one, whose owner calls, and which is empty. Returns how many.
  std::uint32_t steal_half(run_queue& victim) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // order: acquire -- see push() and pop().
    std::uint32_t from = victim.head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t filled = victim.tail_.load(std::memory_order_acquire) - from;
      if (filled == 0) return 0;
      if (filled > capacity) {  // head has moved between the two loads
        from = victim.head_.load(std::memory_order_acquire);
        continue;
      }
      const std::uint32_t count = filled - filled / 2;
      for (std::uint32_t i = 0; i < count; ++i) {
        slots_[(tail + i) % capacity].store(victim.slots_[(from + i) % capacity].load(std::memory_order_relaxed),
                                            std::memory_order_relaxed);
      }
      // order: acq_rel -- release: our reads of the slots come before the owner fills them again.
      if (victim.head_.compare_exchange_weak(from, from + count, std::memory_order_acq_rel,
                                             std::memory_order_acquire)) {
        tail_.store(tail + count, std::memory_order_release);
        return count;
      }
    }
  }

  // How many there are; exact for the owner while nobody steals.
  [[nodiscard]] std::uint32_t size() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    const std::uint32_t filled = tail_.load(std::memory_order_relaxed) - head;
    return filled > capacity ? 0 : filled;
  }

 private:
  alignas(64) std::atomic<std::uint32_t> head_{0};
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  std::array<std::atomic<goroutine*>, capacity> slots_{};
};

}  // namespace turnkey::runtime
