// A FIFO of goroutines behind a lock: the common queue, and what overflows a worker's ring.
//
// The first 16,384 lie in a ring of its own; only what does not fit is linked through the goroutines. Who walks such a list
// waits at each step for memory that another CPU has written last, and does so under the lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/raw_lock.hpp"
#include "runtime/goroutine.hpp"

namespace turnkey::runtime {

class global_queue {
 public:
  static constexpr std::uint32_t capacity = 16384;

  // `slots`: memory for as many as `capacity`. It is not touched before it is needed.
  constexpr explicit global_queue(goroutine** slots) noexcept : slots_(slots) {}

  void push(goroutine* g) noexcept {
    lock_.lock();
    // What is linked came later than what is in the ring, so that goes on being linked until all of it has been taken.
    if (first_ == nullptr && tail_ - head_ != capacity) {
      slots_[tail_++ % capacity] = g;
    } else {
      g->next_ = nullptr;
      (first_ == nullptr ? first_ : last_->next_) = g;
      last_ = g;
    }
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
    for (; count < most && head_ != tail_; ++count) take(slots_[head_++ % capacity]);
    if (head_ == tail_) head_ = tail_ = 0;  // where it is warm
    for (; count < most && first_ != nullptr; ++count) {
      goroutine* const g = first_;
      first_ = g->next_;
      take(g);
    }
    size_.store(size_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
    lock_.unlock();
    return count;
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }

 private:
  goroutine** const slots_;  // [head_, tail_) are filled
  platform::raw_lock lock_;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
  goroutine* first_ = nullptr;
  goroutine* last_ = nullptr;  // of those that are linked, if there are any
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace turnkey::runtime
