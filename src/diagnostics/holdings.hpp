// Which locks each thread of control holds, and since when: known only while somebody wants to know (lock_watcher).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::diagnostics {

// One lock that is held. Written by its holder; others may read it, and see what was so at one moment.
struct holding {
  std::atomic<const void*> lock{nullptr};
  std::atomic<std::int64_t> since{0};  // 0: nobody wants to know
  std::atomic<parking::reason> how{};
  std::atomic<bool> is_reported{false};
};

// The locks of one control, in the order in which it took them. Made when it first locks, and its record's for good.
// What each lock that is watched goes through is inline.
class holdings {
 public:
  // The caller's. Null: no memory.
  static holdings* of(parking::control& who) noexcept {
    holdings* const mine = who.holdings() != 0 ? get(who.holdings()) : make(who);
    // What an ended one has left locked is not its successor's.
    if (mine != nullptr && mine->token_ != who.token()) [[unlikely]] {
      mine->token_ = who.token();
      mine->count_.store(0, std::memory_order_relaxed);
    }
    return mine;
  }

  void add(const void* lock, parking::reason how, std::int64_t now) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    holding* const h = count < block::size ? &first_->held[count] : make_room(count);
    if (h == nullptr) return;  // not known, then
    h->since.store(now, std::memory_order_relaxed);
    h->how.store(how, std::memory_order_relaxed);
    h->is_reported.store(false, std::memory_order_relaxed);
    h->lock.store(lock, std::memory_order_relaxed);
    // order: release -- pairs with count(): the entry.
    count_.store(count + 1, std::memory_order_release);
  }
  static constexpr std::int64_t not_held = -1;
  // The last one of that lock; since when it was held, or not_held.
  std::int64_t remove(const void* lock) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (count == 0) return not_held;
    const holding& last = at(count - 1);
    if (last.lock.load(std::memory_order_relaxed) != lock) return remove_earlier(lock);
    count_.store(count - 1, std::memory_order_release);
    return last.since.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // i < count(), or any if another than its control asks.
  [[nodiscard]] holding& at(std::uint32_t i) const noexcept { return i < block::size ? first_->held[i] : at_later(i); }
  [[nodiscard]] const parking::control& who() const noexcept { return *who_; }

  // f(holdings&) for all there are.
  template <class F>
  static void for_each(F f) noexcept {
    for (std::uint32_t i = 1, n = made(); i <= n; ++i) f(*get(i));
  }
  // Out of anybody's, for one that another control than the holder unlocks.
  static void remove_from_any(const void* lock) noexcept;

 private:
  // A page of them; how many locks one may hold has no limit.
  struct block {
    static constexpr std::uint32_t size = (platform::page_size - sizeof(void*)) / sizeof(holding);
    std::atomic<block*> next{nullptr};
    std::array<holding, size> held;
  };
  // Records in pages, found by number; nothing is ever given back.
  static constexpr std::uint32_t page_records = 1024;
  static constexpr std::uint32_t most_pages = 4096;
  static std::array<std::atomic<holdings*>, most_pages> pages;

  static std::uint32_t made() noexcept;
  // order: acquire -- pairs with make().
  static holdings* get(std::uint32_t index) noexcept {
    return &pages[(index - 1) / page_records].load(std::memory_order_acquire)[(index - 1) % page_records];
  }
  static holdings* make(parking::control& who) noexcept;
  holding* make_room(std::uint32_t index) noexcept;
  [[nodiscard]] holding& at_later(std::uint32_t i) const noexcept;
  std::int64_t remove_earlier(const void* lock) noexcept;

  const parking::control* who_ = nullptr;
  std::uint32_t token_ = 0;  // whose they are
  std::atomic<std::uint32_t> count_{0};
  block* first_ = nullptr;
};

}  // namespace turnkey::diagnostics
