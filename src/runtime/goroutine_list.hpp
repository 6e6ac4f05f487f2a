// A FIFO of goroutines behind a lock, linked through them: the common queue, and what overflows a worker's ring.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/raw_lock.hpp"
#include "runtime/goroutine.hpp"

namespace turnkey::runtime {

class global_queue {
 public:
  void push(goroutine* g) noexcept {
    g->next_ = nullptr;
    lock_.lock();
    if (last_ == nullptr) {
      first_ = g;
    } else {
      last_->next_ = g;
    }
    last_ = g;
    // order: seq_cst -- pairs with worker::rest: it announces itself and then reads the size, we raise the size and then
    // read who is awake; at least one sees the other.
    size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    lock_.unlock();
  }

  // Takes up to `most` off the front, calls take(g) for each in order. Returns how many.
  template <class Take>
  std::uint32_t pop(std::uint32_t most, Take take) noexcept {
    if (size_.load(std::memory_order_relaxed) == 0) return 0;
    lock_.lock();
    std::uint32_t count = 0;
    while (count < most && first_ != nullptr) {
      goroutine* const g = first_;
      first_ = g->next_;
      if (first_ == nullptr) last_ = nullptr;
      ++count;
      take(g);
    }
    size_.store(size_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
    lock_.unlock();
    return count;
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }

 private:
  platform::raw_lock lock_;
  goroutine* first_ = nullptr;
  goroutine* last_ = nullptr;
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace turnkey::runtime
