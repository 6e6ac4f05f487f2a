// A worker's ring: its owner takes without read-modify-writes, thieves come now and then. Nothing is taken twice, nothing lost.
#include "runtime/run_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

using support::dice;
using support::stage;
using turnkey::runtime::goroutine;
using turnkey::runtime::queue_ownership;
using turnkey::runtime::run_queue;

namespace {

// What lies in the queue is not looked at: numbers will do.
goroutine* as_goroutine(std::size_t number) { return reinterpret_cast<goroutine*>(number + 1); }
std::size_t as_number(const goroutine* g) { return reinterpret_cast<std::uintptr_t>(g) - 1; }

struct owned_queue {
  queue_ownership ownership;
  std::atomic<bool> is_away{false};  // as worker::is_blocked_
  std::atomic<goroutine*> next{nullptr};
  run_queue ring;
};

class tally {
 public:
  explicit tally(std::size_t size) : taken_(size) {}
  void take(const goroutine* g) { taken_[as_number(g)].fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] bool is_once_each() const {
    return std::ranges::all_of(taken_, [](const std::atomic<int>& times) { return times == 1; });
  }

 private:
  std::vector<std::atomic<int>> taken_;
};

void own(owned_queue& queue, std::size_t count, tally& taken, dice luck) {
  std::size_t given = 0;
  const auto take = [&] {
    goroutine* g = queue.next.load(std::memory_order_relaxed);
    while (g != nullptr && !queue.ownership.change<goroutine*>(queue.next, g, nullptr)) {
    }
    if (g == nullptr) g = queue.ring.pop(queue.ownership);
    if (g != nullptr) taken.take(g);
    return g != nullptr;
  };
  while (given != count) {
    for (int i = luck.roll(40); i >= 0 && given != count; --i) {
      goroutine* kicked = queue.next.load(std::memory_order_relaxed);
      while (!queue.ownership.change(queue.next, kicked, as_goroutine(given))) {
      }
      ++given;
      if (kicked != nullptr && !queue.ring.push(kicked)) taken.take(kicked);
    }
    if (luck.roll(256) == 0) {
      queue.is_away.store(true, std::memory_order_seq_cst);
      std::this_thread::yield();
      queue.is_away.store(false, std::memory_order_seq_cst);
    }
    for (int i = luck.roll(40); i >= 0 && take(); --i) {
    }
  }
  while (take()) {
  }
}

void steal(owned_queue& from, const std::atomic<bool>& is_over, tally& taken, dice luck) {
  queue_ownership mine;
  const auto loot = std::make_unique<run_queue>();
  const auto steal_one = [&] {
    if (goroutine* const g = from.ring.steal_one()) taken.take(g);
  };
  while (!is_over.load(std::memory_order_acquire)) {
    const queue_ownership::visit visit(from.ownership, from.is_away);
    switch (luck.roll(3)) {
      case 0: steal_one(); break;
      case 1:
        loot->steal_half(from.ring);
        while (goroutine* const g = loot->pop(mine)) taken.take(g);
        break;
      default: {
        goroutine* g = from.next.load(std::memory_order_relaxed);
        if (g != nullptr && from.next.compare_exchange_strong(g, nullptr, std::memory_order_acquire)) taken.take(g);
        if (luck.roll(4) != 0) steal_one();
      }
    }
  }
}

}  // namespace

TEST(RunQueueStress, WhatTheOwnerAndThievesTakeIsTakenOnce) {
  support::stress().run(1, [](const stage&, int, std::uint64_t seed) {
    constexpr std::size_t count = 100'000;
    owned_queue queue;
    tally taken(count);
    std::atomic<bool> is_over{false};
    std::vector<std::jthread> thieves;
    for (std::uint64_t i = 0; i <= seed % 2; ++i) {
      thieves.emplace_back([&, i] { steal(queue, is_over, taken, dice(seed + 1 + i)); });
    }
    own(queue, count, taken, dice(seed));
    is_over.store(true, std::memory_order_release);
    turnkey::blocking([&] { thieves.clear(); });
    EXPECT_TRUE(taken.is_once_each());
  });
}
