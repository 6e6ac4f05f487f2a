// Which locks each thread of control holds, and since when: known only while somebody wants to know (lock_watcher).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::diagnostics {

// A lock, and how it is taken, in a word: the last two bits of a lock's address are free.
class taking {
 public:
  constexpr taking() noexcept = default;  // none
  taking(const void* lock, parking::reason how) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(lock) | static_cast<std::uintptr_t>(how)) {}

  // Null: another than its holder has unlocked it.
  [[nodiscard]] const void* lock() const noexcept { return reinterpret_cast<const void*>(word_ & ~how_mask); }
  [[nodiscard]] parking::reason how() const noexcept { return static_cast<parking::reason>(word_ & how_mask); }
  [[nodiscard]] std::uintptr_t word() const noexcept { return word_; }
  friend bool operator==(const taking&, const taking&) = default;

 private:
  static constexpr std::uintptr_t how_mask = 3;
  static_assert(static_cast<std::uintptr_t>(parking::reason::rw_mutex_lock_shared) <= how_mask);
  std::uintptr_t word_ = 0;
};

// One lock that is held. Written by its holder; others may read it, and see what was so at one moment.
struct holding {
  std::atomic<taking> what{};
  std::atomic<std::int64_t> since{0};  // 0: nobody wants to know
  std::uint64_t before = 0;            // its holder's: the fingerprint of those before it
  std::atomic<bool> is_reported{false};
};

inline std::uint64_t mix(std::uint64_t x) noexcept {
  x *= 0x9e3779b97f4a7c15;
  return x ^ (x >> 29);
}

// The locks of one control, in the order in which it took them. Made when it first locks, and its record's for good.
// What each lock that is watched goes through is inline, and few instructions.
//
// The list has a fingerprint, of the control and of what it holds in that order, which grows and shrinks with it. Two that
// differ have the same one once in 2^64.
class holdings {
 public:
  // The caller's. Null: no memory.
  static holdings* of(parking::control& who) noexcept {
    holdings* const mine = valid(who);
    return mine != nullptr ? mine : bring_up_to_date(who);
  }
  // The same, if nothing is to be done for it; else null.
  static holdings* valid(parking::control& who) noexcept {
    auto* const mine = static_cast<holdings*>(who.holdings());
    // order: acquire -- pairs with remove_from_any(): what it has marked.
    return mine != nullptr && mine->valid_for_.load(std::memory_order_acquire) == who.token() ? mine : nullptr;
  }

  // The fingerprint as it is once `what` is added.
  [[nodiscard]] std::uint64_t fingerprint_with(taking what) const noexcept { return mix(fingerprint_ ^ what.word()); }
  void add(taking what, std::uint64_t fingerprint_with_it, std::int64_t now) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    holding* const h = make_room(count);
    if (h != nullptr) fill(*h, count, what, fingerprint_with_it, now);  // else it is not known
  }
  // The same, if there is room without a look further: true.
  bool add_quickly(taking what, std::uint64_t fingerprint_with_it, std::int64_t now) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (count >= block::size) return false;
    fill(first_->held[count], count, what, fingerprint_with_it, now);
    return true;
  }
  static constexpr std::int64_t not_held = -1;
  // The last one that is the same; since when it was held, or not_held.
  std::int64_t remove(taking what) noexcept;
  // The same, if it is one that was added quickly, and after all others: true.
  bool remove_quickly(taking what) noexcept {
    const std::uint32_t last = count_.load(std::memory_order_relaxed) - 1;
    if (last >= block::size) return false;
    const holding& h = first_->held[last];
    if (h.what.load(std::memory_order_relaxed) != what) return false;
    fingerprint_ = h.before;
    count_.store(last, std::memory_order_release);
    return true;
  }
  // For its control.
  [[nodiscard]] bool is_empty() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // i < count(), or any if another than its control asks.
  [[nodiscard]] holding& at(std::uint32_t i) const noexcept { return i < block::size ? first_->held[i] : at_later(i); }
  [[nodiscard]] const parking::control& who() const noexcept { return *who_; }

  // f(holdings&) for all there are.
  template <class F>
  static void for_each(F f) noexcept {
    for (std::uint32_t i = 1, n = made(); i <= n; ++i) f(*get(i));
  }
  // Out of anybody's, for one that another control than the holder unlocks. The holder's own list is as before until it
  // next locks or unlocks.
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
  static holdings* bring_up_to_date(parking::control& who) noexcept;
  void close_gaps(std::uint32_t from) noexcept;
  void fill(holding& h, std::uint32_t index, taking what, std::uint64_t fingerprint_with_it,
            std::int64_t now) noexcept {
    h.before = fingerprint_;
    h.since.store(now, std::memory_order_relaxed);
    h.is_reported.store(false, std::memory_order_relaxed);
    h.what.store(what, std::memory_order_relaxed);
    fingerprint_ = fingerprint_with_it;
    // order: release -- pairs with count(): the entry.
    count_.store(index + 1, std::memory_order_release);
  }
  holding* make_room(std::uint32_t index) noexcept;
  [[nodiscard]] holding& at_later(std::uint32_t i) const noexcept;

  static constexpr std::uint32_t nobody = parking::not_in_tokens;
  const parking::control* who_ = nullptr;
  // Whose list it is, and for whom it can be used as it is: nobody, if another has unlocked one of those in it.
  std::uint32_t token_ = nobody;
  std::atomic<std::uint32_t> valid_for_{nobody};
  std::uint64_t fingerprint_ = 0;
  std::atomic<std::uint32_t> count_{0};
  block* first_ = nullptr;
};

}  // namespace turnkey::diagnostics
