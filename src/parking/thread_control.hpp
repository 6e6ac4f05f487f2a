// The OS threads that use the library, as threads of control.
#pragma once

#include <atomic>
#include <cstdint>

#include "parking/control.hpp"
#include "parking/waiter.hpp"

namespace turnkey::parking {

// Sleeps in the kernel. Records are pooled for ever and reused when a thread ends.
class thread_control final : public control {
 public:
  void suspend(waiter& w, std::int64_t deadline) noexcept override;
  void suspend_unlatching(waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept override;
  void resume() noexcept override;
  bool give_way() noexcept override;
  [[nodiscard]] std::int64_t spin_time() const noexcept override;
  void describe(platform::text& out) const noexcept override;
  [[nodiscard]] bool is_thread() const noexcept override { return true; }

  // The kernel's id; 0 while the record is unused.
  [[nodiscard]] std::int32_t thread() const noexcept { return thread_.load(std::memory_order_acquire); }
  // Counts the waits of this record: a changed number means that it has run in between.
  [[nodiscard]] std::uint32_t waits() const noexcept { return waits_.load(std::memory_order_acquire); }
  // True while it is parked with a deadline.
  [[nodiscard]] bool is_timed() const noexcept { return is_timed_.load(std::memory_order_acquire); }
  // The next record in the list of all of them.
  [[nodiscard]] thread_control* next() const noexcept { return next_; }

  // All records, used or not. The list only grows.
  static thread_control* all() noexcept;
  // The calling OS thread's record, made if need be.
  static thread_control& of_this_thread() noexcept;
  // The record that has this token, or null. Its thread may have ended, while no other has the record.
  static thread_control* find(std::uint32_t token) noexcept;

 private:
  friend struct thread_registry;
  void sleep_until_ended(waiter& w, std::int64_t start, std::int64_t deadline) noexcept;

  std::atomic<std::uint32_t> permit_{0};  // 1: look at the waiter again. May be left over from an earlier wait.
  std::atomic<std::int32_t> thread_{0};
  std::int32_t last_thread_ = 0;  // the same, kept when the thread ends
  std::atomic<std::uint32_t> waits_{0};
  std::atomic<bool> is_timed_{false};
  std::uint32_t index_ = 0;
  std::uint32_t generation_ = 0;
  thread_control* next_ = nullptr;
  thread_control* next_free_ = nullptr;
};

}  // namespace turnkey::parking
