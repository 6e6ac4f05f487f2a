// turnkey/semaphore.hpp -- a number of tokens, taken and given back, first come first served.
//
//   turnkey::semaphore slots(10);       // at most ten downloads at once
//   slots.acquire();  download();  slots.release();
//
// Go: golang.org/x/sync/semaphore.Weighted. std: a std::counting_semaphore that is fair and takes several at a time.
//
// Guarantees
//   Strictly FIFO: a request that does not fit yet holds back the smaller ones behind it, so it is not starved.
//   Order: what was done before a release() is seen after the acquire() that it lets go.
//   Lifetime: may be destroyed as soon as the last call on it has returned, or for whoever waited, as soon as that
//     wait has returned.
//   Cost: acquire() and release() that nobody disputes are one atomic read-modify-write each. 24 bytes. No allocation.
// Misuse: a negative count throws std::invalid_argument; giving back more than was taken throws
// std::logic_error("semaphore: released more than held"). Nothing has changed then.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <stop_token>
#include <utility>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class waiter;
}

// All members may be called from goroutines and OS threads. A token may be given back by another than took it.
class semaphore {
 public:
  // `size` tokens, all of them there. Throws std::invalid_argument if negative or above max().
  constexpr explicit semaphore(std::ptrdiff_t size) : state_(checked(size) * unit), size_(size) {}
  semaphore(const semaphore&) = delete;             // cannot be copied: the copy would have tokens of its own
  semaphore& operator=(const semaphore&) = delete;  // cannot be copied

  // Waits until k tokens are there and all who asked before have theirs, and takes them. More than the semaphore has
  // ever had: waits for ever, and holds nobody back. Go: Acquire.
  void acquire(std::ptrdiff_t k = 1) { acquire_within(wait_limit(), k); }
  // Takes k tokens if they are there and nobody waits. Never blocks, never fails spuriously. Go: TryAcquire.
  [[nodiscard]] bool try_acquire(std::ptrdiff_t k = 1);
  // acquire() that gives up after `period`, at `when`, or when a stop is requested; true if it took the tokens.
  // A time that has passed still tries once; a stop that was requested before does not. Who gives up lets those behind it go
  // for whom the tokens suffice. Go: Acquire with a context.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& period, std::ptrdiff_t k = 1) {
    return acquire_within(wait_limit::after(period), k);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& when, std::ptrdiff_t k = 1) {
    return acquire_within(wait_limit::until(when), k);
  }
  [[nodiscard]] bool acquire(std::stop_token token, std::ptrdiff_t k = 1) {
    if (!token.stop_possible()) return acquire_within(wait_limit(), k);
    stop_watch watch(std::move(token));
    return !watch.is_raised() && acquire_within(wait_limit::stopped_by(watch), k);
  }

  // Gives k tokens back and lets go those at the head of the queue whom they suffice for. Never blocks. Go: Release.
  void release(std::ptrdiff_t k = 1);

  // The largest size. Go: nothing.
  [[nodiscard]] static constexpr std::ptrdiff_t max() noexcept { return PTRDIFF_MAX / 8; }

 private:
  static constexpr std::uint64_t unit = 4;  // bits 63..2 count the tokens; see src/sync/semaphore.cpp for the rest
  static constexpr std::uint64_t checked(std::ptrdiff_t size) {
    if (size < 0 || size > max()) throw std::invalid_argument("turnkey::semaphore: size out of range");
    return static_cast<std::uint64_t>(size);
  }
  bool acquire_within(const wait_limit& limit, std::ptrdiff_t k);
  bool enqueue(parking::waiter& self) noexcept;
  bool withdraw(parking::waiter& self) noexcept;
  void grant(std::uint64_t tokens) noexcept;

  std::atomic<std::uint64_t> state_;
  std::ptrdiff_t size_;
  parking::waiter* queue_ = nullptr;
};

}  // namespace turnkey
