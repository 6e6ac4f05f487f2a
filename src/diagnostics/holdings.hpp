// Which locks each thread of control holds, and since when: known only while somebody wants to know (lock_watcher).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "parking/control.hpp"
#include "parking/taking.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::diagnostics {

using parking::taking;

// One lock that is held. Written by its holder; others may read it, and see what was so at one moment.
struct holding {
  std::atomic<taking> what{};
  std::atomic<std::int64_t> since{0};  // 0: nobody wants to know
  std::uint64_t fingerprint = 0;       // its holder's: of the list up to here
  std::atomic<bool> is_reported{false};

  // By its holder, who has found it to be that. False: another has marked it since, and it is nowhere. The fingerprint is the
  // caller's.
  bool move_to(holding& there, taking expected) noexcept;
};

constexpr std::uint64_t mix_factor = 0x9e3779b97f4a7c15;
inline std::uint64_t mix(std::uint64_t x) noexcept {
  x *= mix_factor;
  return x ^ (x >> 29);
}

// The locks of one control, in the order in which it took them. Made when it first locks, and its record's for good.
// What each lock that is watched goes through is inline, and few instructions.
//
// The list has a fingerprint, of the control and of what it holds in that order, which stands with the last one. Two that differ
// have the same one once in 2^64.
class alignas(64) holdings {  // a cache line for each: who has the next one locks as well
 public:
  // The end of a list, by which its control changes it, once: then it is another's. Null: none.
  class end {
   public:
    explicit operator bool() const noexcept { return list_ != nullptr; }
    [[nodiscard]] holdings& list() const noexcept { return *list_; }
    [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }
    // The list's fingerprint as it is once `what` is added.
    [[nodiscard]] std::uint64_t fingerprint_with(taking what) const noexcept {
      return folded(last_->fingerprint, what);
    }
    // `now` is 0 always, or never.
    void add(taking what, std::uint64_t fingerprint_with_it, std::int64_t now) const noexcept {
      holding* const h = count_ + 1 < block::size ? &list_->first_->held[count_ + 1] : list_->make_room(count_ + 1);
      if (h == nullptr) return;  // no memory: it is not known
      h->fingerprint = fingerprint_with_it;
      if (now != 0) {
        h->since.store(now, std::memory_order_relaxed);
        h->is_reported.store(false, std::memory_order_relaxed);
      }
      // order: release -- pairs with remove_from_any(): what was in this place before has been moved.
      h->what.store(what, std::memory_order_release);
      set_count(count_ + 1);
    }
    [[nodiscard]] bool is_last(taking what) const noexcept {
      return last_->what.load(std::memory_order_relaxed) == what;
    }
    void remove_last() const noexcept { set_count(count_ - 1); }
    // The last one that is the same; since when it was held, or not_held.
    [[nodiscard]] std::int64_t remove(taking what) const noexcept {
      if (!is_last(what)) return list_->remove_earlier(what);
      remove_last();
      return last_->since.load(std::memory_order_relaxed);
    }

   private:
    friend holdings;
    end() noexcept = default;
    end(holdings& list, holding& last, std::uint32_t count) noexcept : list_(&list), last_(&last), count_(count) {}
    // order: release -- pairs with count(): the entries.
    void set_count(std::uint32_t count) const noexcept { list_->count_.store(count, std::memory_order_release); }
    holdings* list_ = nullptr;
    holding* last_ = nullptr;  // or the place before the first, which holds nothing
    std::uint32_t count_ = 0;
  };
  static constexpr std::int64_t not_held = -1;

  // Of the caller's. Null: no memory.
  static end end_of(parking::control& who) noexcept;
  // The same, if nothing is to be done for the list and it is short; else null.
  static end quick_end_of(parking::control& who) noexcept {
    holdings* const mine = ready(who);
    if (mine == nullptr) return {};
    const std::uint32_t count = mine->count_.load(std::memory_order_relaxed);
    return count + 1 < block::size ? end(*mine, mine->first_->held[count], count) : end();
  }

  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // i < count(), or any if another than its control asks.
  [[nodiscard]] holding& at(std::uint32_t i) const noexcept { return place(i + 1); }
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
  // A page of them; how many locks one may hold has no limit. The first place is no lock's: it has the fingerprint of the empty
  // list.
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
  // The caller's, if nothing is to be done for it; else null.
  static holdings* ready(parking::control& who) noexcept {
    // order: acquire -- pairs with remove_from_any(): what it has marked.
    return static_cast<holdings*>(who.ready_holdings().load(std::memory_order_acquire));
  }
  static holdings* bring_up_to_date(parking::control& who) noexcept;
  static std::uint64_t folded(std::uint64_t fingerprint, taking what) noexcept {
    return std::rotl((fingerprint ^ what.word()) * mix_factor, 16);
  }
  [[nodiscard]] std::int64_t remove_earlier(taking what) noexcept;
  void close_gaps(std::uint32_t from) noexcept;
  holding* make_room(std::uint32_t place) noexcept;
  [[nodiscard]] holding& place(std::uint32_t i) const noexcept {
    return i < block::size ? first_->held[i] : later_place(i);
  }
  [[nodiscard]] holding& later_place(std::uint32_t i) const noexcept;

  parking::control* who_ = nullptr;
  std::uint32_t token_ = parking::not_in_tokens;  // whose list it is; at first nobody's
  std::atomic<std::uint32_t> count_{0};
  block* first_ = nullptr;
};

}  // namespace turnkey::diagnostics
