// The scheduler's stores: the queue that a crowd of ready goroutines overflows into, and the pool of their records.
#include "runtime/goroutine_pool.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "runtime/goroutine_list.hpp"

namespace {

using turnkey::runtime::global_queue;
using turnkey::runtime::goroutine;
using turnkey::runtime::goroutine_pool;

// Takes `count` and expects those that come after `next`, which it moves on.
void expect_next(global_queue& queue, std::vector<goroutine>& all, std::uint32_t count, std::size_t& next) {
  std::size_t wrong = 0;
  const std::uint32_t taken = queue.pop(count, [&](goroutine* g) { wrong += g == &all[next++] ? 0U : 1U; });
  EXPECT_EQ(taken, count);
  EXPECT_EQ(wrong, 0U) << "of " << count << " up to the " << next << ". one";
}

TEST(GlobalQueue, IsFirstInFirstOutHoweverManyThereAre) {
  std::vector<goroutine*> slots(global_queue::capacity);
  global_queue queue(slots.data());
  std::vector<goroutine> all(3 * std::size_t{global_queue::capacity});
  std::size_t pushed = 0;
  std::size_t next = 0;
  const auto push = [&](std::uint32_t count) {
    for (; count != 0; --count) queue.push(&all[pushed++]);
  };
  push(3);
  expect_next(queue, all, 2, next);
  push(global_queue::capacity + 500);  // 501 more than there is room for
  EXPECT_EQ(queue.size(), global_queue::capacity + 501);
  expect_next(queue, all, 1000, next);
  push(300);  // there is room again, but those that had none are older
  expect_next(queue, all, global_queue::capacity - 1000, next);
  push(1);
  expect_next(queue, all, 801, next);
  push(global_queue::capacity / 2);
  expect_next(queue, all, 1, next);
  expect_next(queue, all, global_queue::capacity / 2, next);
  EXPECT_EQ(next, pushed);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.pop(1, [](goroutine*) { FAIL(); }), 0U);
}

// The next `count` records, none of them twice.
std::set<goroutine*> take(std::size_t count, goroutine_pool::cache* local) {
  std::set<goroutine*> taken;
  for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(taken.insert(goroutine_pool::take_record(local)).second);
  return taken;
}

TEST(GoroutinePool, GivesOutEachRecordOnceAndUsesItAgain) {
  constexpr std::size_t many = 3000;
  goroutine_pool::cache one;
  goroutine_pool::cache other;
  const std::set<goroutine*> first = take(many, &one);
  goroutine_pool::flush(one);
  const std::uint32_t made = goroutine_pool::record_count();

  // Taken by one worker and given back by another, as when half of a crowd is stolen; then all by a thread without a cache.
  for (goroutine* g : first) goroutine_pool::give_record(*g, &other);
  goroutine_pool::flush(other);
  const std::set<goroutine*> second = take(many, nullptr);
  EXPECT_LE(goroutine_pool::record_count(), made);

  std::size_t given = 0;
  for (goroutine* g : second) goroutine_pool::give_record(*g, ++given % 2 == 0 ? &one : nullptr);
  goroutine_pool::flush(one);
  const std::set<goroutine*> third = take(many, &other);
  EXPECT_LE(goroutine_pool::record_count(), made);
  EXPECT_FALSE(third.contains(nullptr));
  for (goroutine* g : third) goroutine_pool::give_record(*g, &other);
  goroutine_pool::flush(other);
}

}  // namespace
