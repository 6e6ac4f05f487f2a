// What is noted of the locks that a thread of control holds: the list, and its fingerprint.
#include "diagnostics/holdings.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <thread>
#include <turnkey/go.hpp>

#include "parking/control.hpp"

namespace {

using turnkey::diagnostics::holding;
using turnkey::diagnostics::holdings;
using turnkey::diagnostics::taking;
using turnkey::parking::control;
using turnkey::parking::reason;

constexpr int many = 500;  // more than a page of them
alignas(8) std::array<std::uint64_t, many> locks{};

taking lock_of(int i) { return {&locks[static_cast<std::size_t>(i)], reason::mutex_lock}; }

holdings::end mine() { return holdings::end_of(control::current()); }
std::uint32_t count() { return mine().list().count(); }
bool is_quick() { return static_cast<bool>(holdings::quick_end_of(control::current())); }

void add(taking what) { mine().add(what, mine().fingerprint_with(what), 1); }
void add(int i) { add(lock_of(i)); }

void remove(int i) { EXPECT_NE(mine().remove(lock_of(i)), holdings::not_held) << i; }

// Stands for the list's own: what it would be with one more.
std::uint64_t fingerprint() { return mine().fingerprint_with({}); }

std::uint64_t fingerprint_of(std::initializer_list<int> all) {
  for (const int i : all) add(i);
  const std::uint64_t found = fingerprint();
  for (const int i : all) remove(i);
  return found;
}

TEST(Holdings, HaveAFingerprintOfWhatIsHeldHowInWhichOrder) {
  const std::uint64_t none = fingerprint();
  const std::uint64_t both = fingerprint_of({1, 2});
  EXPECT_NE(both, fingerprint_of({2, 1}));
  EXPECT_NE(both, fingerprint_of({1}));
  EXPECT_NE(both, none);
  EXPECT_EQ(both, fingerprint_of({1, 2}));
  EXPECT_EQ(none, fingerprint());
  EXPECT_NE(mine().fingerprint_with(lock_of(1)),
            mine().fingerprint_with({lock_of(1).lock(), reason::rw_mutex_lock_shared}));
  std::uint64_t anothers = both;
  std::thread([&] { anothers = fingerprint_of({1, 2}); }).join();
  EXPECT_NE(anothers, both);
}

TEST(Holdings, AreTakenOutInAnyOrder) {
  const std::uint64_t rest = fingerprint_of({1, 3});
  for (const int i : {1, 2, 3}) add(i);
  remove(2);
  EXPECT_EQ(fingerprint(), rest);
  EXPECT_EQ(count(), 2u);
  EXPECT_EQ(mine().remove(lock_of(2)), holdings::not_held);
  EXPECT_EQ(mine().remove({lock_of(3).lock(), reason::rw_mutex_lock}), holdings::not_held);
  EXPECT_FALSE(mine().is_last(lock_of(1)));
  EXPECT_TRUE(mine().is_last(lock_of(3)));
  mine().remove_last();
  EXPECT_TRUE(mine().is_last(lock_of(1)));
  EXPECT_FALSE(mine().is_empty());
  mine().remove_last();
  EXPECT_FALSE(mine().is_last(lock_of(1)));
  EXPECT_TRUE(mine().is_empty());
  EXPECT_EQ(mine().remove(lock_of(1)), holdings::not_held);
}

TEST(Holdings, LoseWhatAnotherUnlocks) {
  const std::uint64_t rest = fingerprint_of({1, 3});
  for (const int i : {1, 2, 3, 2}) add(i);
  std::thread([] { holdings::remove_from_any(lock_of(2).lock()); }).join();
  EXPECT_FALSE(is_quick());
  EXPECT_EQ(fingerprint(), rest);
  EXPECT_TRUE(is_quick());
  EXPECT_EQ(count(), 2u);
  EXPECT_EQ(mine().remove(lock_of(2)), holdings::not_held);
  remove(1);
  remove(3);
  for (int i = 0; i < many; ++i) {  // the list does not grow by them
    add(1);
    std::thread([] { holdings::remove_from_any(lock_of(1).lock()); }).join();
    EXPECT_EQ(count(), 0u);
  }
}

TEST(Holdings, AreNotMovedPastTheMarkOfAnother) {
  holding here;
  holding there;
  here.what.store(lock_of(1), std::memory_order_relaxed);
  here.since.store(7, std::memory_order_relaxed);
  EXPECT_TRUE(here.move_to(there, lock_of(1)));
  EXPECT_EQ(here.what.load(std::memory_order_relaxed), taking());
  EXPECT_EQ(there.what.load(std::memory_order_relaxed), lock_of(1));
  EXPECT_EQ(there.since.load(std::memory_order_relaxed), 7);
  there.what.store(taking(), std::memory_order_relaxed);  // the mark, after its holder has looked
  EXPECT_FALSE(there.move_to(here, lock_of(1)));
  EXPECT_EQ(here.what.load(std::memory_order_relaxed), taking());
}

// Its holder takes the first of many out, so that all others move by one, while another marks the last one.
TEST(Holdings, LoseWhatAnotherUnlocksWhileItMoves) {
  constexpr int some = 100;
  constexpr int rounds = 2000;
  std::atomic<int> begun{0};
  std::atomic<int> done{0};
  std::thread another([&] {
    for (int round = 1; round <= rounds; ++round) {
      while (begun.load(std::memory_order_acquire) != round) turnkey::this_goroutine::yield();
      for (int i = 0; i < round % 20; ++i) holdings::remove_from_any(lock_of(0).lock());  // another moment each time
      holdings::remove_from_any(lock_of(some).lock());
      done.store(round, std::memory_order_release);
    }
  });
  for (int round = 1; round <= rounds; ++round) {
    for (int i = 1; i <= some; ++i) add(i);
    begun.store(round, std::memory_order_release);
    for (int i = 1; i < some; ++i) remove(i);
    while (done.load(std::memory_order_acquire) != round) turnkey::this_goroutine::yield();
    EXPECT_TRUE(mine().is_empty()) << round;
    if (!mine().is_empty()) remove(some);
  }
  another.join();
}

TEST(Holdings, HaveRoomForAnyNumber) {
  const std::uint64_t none = fingerprint();
  for (int i = 0; i < many; ++i) add(i);
  EXPECT_EQ(count(), static_cast<std::uint32_t>(many));
  EXPECT_FALSE(is_quick());
  const std::uint64_t all = fingerprint();
  add(0);
  remove(0);
  EXPECT_EQ(fingerprint(), all);
  for (int i = 0; i < many; i += 2) remove(i);
  for (int i = 0; i < many / 2; ++i) {
    EXPECT_EQ(mine().list().at(static_cast<std::uint32_t>(i)).what.load(std::memory_order_relaxed), lock_of(2 * i + 1));
  }
  for (int i = 1; i < many; i += 2) remove(i);
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(fingerprint(), none);
}

}  // namespace
