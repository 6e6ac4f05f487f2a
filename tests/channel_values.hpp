// Values to send through channels: they count themselves, insist on their alignment, or break when they are moved.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace support {

// A number that can only be moved. All that are alive, and not moved from, are counted.
class tracked {
 public:
  class count {
   public:
    [[nodiscard]] int now() const noexcept { return alive_.load(std::memory_order_acquire); }

   private:
    friend class tracked;
    std::atomic<int> alive_{0};
  };

  tracked(count& all, int number) noexcept : all_(&all), number_(number) { all_->alive_.fetch_add(1); }
  tracked(tracked&& other) noexcept : all_(std::exchange(other.all_, nullptr)), number_(other.number_) {}
  tracked& operator=(tracked&& other) noexcept {
    if (this == &other) return *this;
    leave();
    all_ = std::exchange(other.all_, nullptr);
    number_ = other.number_;
    return *this;
  }
  ~tracked() { leave(); }
  [[nodiscard]] int number() const noexcept { return all_ != nullptr ? number_ : -1; }

 private:
  void leave() noexcept {
    if (all_ != nullptr) all_->alive_.fetch_sub(1);
  }
  count* all_;
  int number_;
};

// Over-aligned, and not trivial.
class alignas(128) aligned {
 public:
  explicit aligned(int number) : number_(number) { check(); }
  aligned(aligned&& other) noexcept : number_(std::exchange(other.number_, -1)) {
    check();
    other.check();
  }
  aligned& operator=(aligned&& other) noexcept {
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~aligned() { check(); }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  void check() const noexcept { EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 128, 0U); }
  int number_;
};

// Its move throws when it is told to: the n-th from now, of all of them, by whoever. The source stays as it was.
class fragile {
 public:
  struct broken : std::runtime_error {
    broken() : std::runtime_error("the value broke as it was moved") {}
  };
  static void arm(int nth) noexcept { moves_left.store(nth); }
  // Every n-th move from now on; 0: none.
  static void arm_every(int n) noexcept {
    period.store(n);
    moves_left.store(n);
  }

  explicit fragile(int number) : number_(number) {}
  fragile(fragile&& other) : number_(other.number_) {  // NOLINT: may throw
    strain();
    other.number_ = -1;
  }
  fragile& operator=(fragile&& other) {  // NOLINT: may throw
    strain();
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~fragile() = default;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  static void strain() {
    if (moves_left.load() <= 0 || moves_left.fetch_sub(1) != 1) return;
    moves_left.store(period.load());
    throw broken();
  }
  static inline std::atomic<int> moves_left{0};
  static inline std::atomic<int> period{0};
  int number_;
};

}  // namespace support
