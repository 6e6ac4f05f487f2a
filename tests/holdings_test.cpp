// What is noted of the locks that a thread of control holds: the list, and its fingerprint.
#include "diagnostics/holdings.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <thread>

#include "parking/control.hpp"

namespace {

using turnkey::diagnostics::holdings;
using turnkey::diagnostics::taking;
using turnkey::parking::control;
using turnkey::parking::reason;

constexpr int many = 500;  // more than a page of them
alignas(8) std::array<std::uint64_t, many> locks{};

taking lock_of(int i) { return {&locks[static_cast<std::size_t>(i)], reason::mutex_lock}; }

holdings& mine() { return *holdings::of(control::current()); }

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
  EXPECT_EQ(mine().count(), 2u);
  EXPECT_EQ(mine().remove(lock_of(2)), holdings::not_held);
  EXPECT_EQ(mine().remove({lock_of(3).lock(), reason::rw_mutex_lock}), holdings::not_held);
  EXPECT_FALSE(mine().remove_quickly(lock_of(1)));
  EXPECT_TRUE(mine().remove_quickly(lock_of(3)));
  EXPECT_TRUE(mine().remove_quickly(lock_of(1)));
  EXPECT_FALSE(mine().remove_quickly(lock_of(1)));
}

TEST(Holdings, LoseWhatAnotherUnlocks) {
  const std::uint64_t rest = fingerprint_of({1, 3});
  for (const int i : {1, 2, 3, 2}) add(i);
  std::thread([] { holdings::remove_from_any(lock_of(2).lock()); }).join();
  EXPECT_EQ(holdings::valid(control::current()), nullptr);
  EXPECT_EQ(fingerprint(), rest);
  EXPECT_EQ(mine().count(), 2u);
  EXPECT_EQ(mine().remove(lock_of(2)), holdings::not_held);
  remove(1);
  remove(3);
  for (int i = 0; i < many; ++i) {  // the list does not grow by them
    add(1);
    std::thread([] { holdings::remove_from_any(lock_of(1).lock()); }).join();
    EXPECT_EQ(mine().count(), 0u);
  }
}

TEST(Holdings, HaveRoomForAnyNumber) {
  const std::uint64_t none = fingerprint();
  for (int i = 0; i < many; ++i) add(i);
  EXPECT_EQ(mine().count(), static_cast<std::uint32_t>(many));
  EXPECT_FALSE(mine().add_quickly(lock_of(0), 0, 0));
  EXPECT_FALSE(mine().remove_quickly(lock_of(many - 1)));
  const std::uint64_t all = fingerprint();
  add(0);
  remove(0);
  EXPECT_EQ(fingerprint(), all);
  for (int i = 0; i < many; i += 2) remove(i);
  for (int i = 0; i < many / 2; ++i) {
    EXPECT_EQ(mine().at(static_cast<std::uint32_t>(i)).what.load(std::memory_order_relaxed), lock_of(2 * i + 1));
  }
  for (int i = 1; i < many; i += 2) remove(i);
  EXPECT_EQ(mine().count(), 0u);
  EXPECT_EQ(fingerprint(), none);
}

}  // namespace
