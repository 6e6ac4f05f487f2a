// A goroutine: its record, its callable, and - from its first run to its end - its stack.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "parking/control.hpp"
#include "parking/waiter.hpp"
#include "platform/sanitizer.hpp"
#include "platform/switch.hpp"

namespace turnkey::runtime {

class goroutine;

// A stack. This descriptor lies at its top, so that a stack costs no other memory.
struct stack {
  void* base = nullptr;  // the guard page
  std::size_t size = 0;  // from base to the end of the descriptor
  stack* next_free = nullptr;
  bool has_canary = false;
  platform::sanitizer_stack view;
  [[nodiscard]] void* top() noexcept { return this; }
};

// 256 bytes: parked goroutines cost their stack's top page and this, so it must stay small. Records are pooled for ever.
class alignas(64) goroutine final : public parking::control {
 public:
  // What reports say of it. waiting() tells a parked one from a running one.
  enum class status : std::uint8_t { unused, runnable, running };
  // 2^21 records can be named by a token; goroutines beyond that share the token of nobody.
  static constexpr std::uint32_t max_token_index = (1u << 21) - 1;

  void suspend(parking::waiter& w, std::int64_t deadline) noexcept override;
  void suspend_unlatching(parking::waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept override;
  void resume() noexcept override;
  bool give_way() noexcept override;
  void end_time_slice() noexcept override;
  [[nodiscard]] std::int64_t spin_time() const noexcept override;
  void describe(platform::text& out) const noexcept override;
  [[nodiscard]] bool is_thread() const noexcept override { return false; }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_.load(std::memory_order_relaxed); }
  [[nodiscard]] status load_status() const noexcept { return status_.load(std::memory_order_acquire); }
  // Empty if it was given none; else it ends in a 0 that is not part of it.
  [[nodiscard]] std::string_view name() const noexcept {
    return {reinterpret_cast<const char*>(room_.data()), name_length_};
  }
  // Where to go on, while parked; null if it has not started.
  [[nodiscard]] const void* saved_stack() const noexcept { return saved_; }
  // Where its stack ends; null if it has none yet.
  [[nodiscard]] const void* stack_top() const noexcept { return stack_; }
  // The return address of the call that made it, and the goroutine that called; 0: an OS thread.
  [[nodiscard]] const void* creation_site() const noexcept { return creation_site_; }
  [[nodiscard]] std::uint64_t creator() const noexcept { return creator_; }

 private:
  friend class goroutine_pool;
  friend class worker;
  friend class scheduler;
  friend class global_queue;
  friend class launcher;

  static constexpr std::size_t room_size = 64;
  static constexpr std::size_t name_size = 32;

  std::atomic<status> status_{status::unused};
  std::uint8_t name_length_ = 0;  // 0: it has none
  bool has_started_ = false;
  bool is_callable_allocated_ = false;
  std::uint8_t callable_alignment_ = 0;  // log2, if allocated
  std::uint8_t stack_class_ = 0;         // log2 of the stack size, over 16 KiB
  std::uint32_t index_ = 0;              // in the pool
  std::uint32_t generation_ = 0;
  std::atomic<std::uint64_t> id_{0};
  goroutine* next_ = nullptr;  // in a chain of free records, or in a queue that is more than full
  void* saved_ = nullptr;      // the stack pointer while switched out
  stack* stack_ = nullptr;
  void (*run_)(void*) = nullptr;
  void* callable_ = nullptr;  // in room_, or allocated
  platform::exception_state exceptions_;
  const void* creation_site_ = nullptr;
  alignas(16) std::array<std::byte, room_size> room_{};
  std::uint64_t creator_ = 0;
};

static_assert(sizeof(goroutine) == 256);

}  // namespace turnkey::runtime
