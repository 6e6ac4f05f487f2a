#include <turnkey/checked_map.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <turnkey/guarded.hpp>
#include <turnkey/map_guard.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"

using support::stage;
using turnkey::checked_map;

using words = checked_map<std::string, int>;
static_assert(sizeof(words) <= sizeof(std::unordered_map<std::string, int>) + 24);
static_assert(std::copyable<words> && std::default_initializable<words>);
static_assert(std::forward_iterator<words::iterator> && std::forward_iterator<words::const_iterator>);
static_assert(std::convertible_to<words::iterator, words::const_iterator>);
static_assert(!std::convertible_to<words::const_iterator, words::iterator>);
static_assert(std::same_as<decltype(*std::declval<words::iterator>()), std::pair<const std::string, int>&>);
static_assert(std::same_as<decltype(*std::declval<words::const_iterator>()), const std::pair<const std::string, int>&>);

namespace {

template <class Map>
class CheckedMapOver : public testing::Test {};
using maps = testing::Types<std::unordered_map<int, int>, std::map<int, int>>;
TYPED_TEST_SUITE(CheckedMapOver, maps);

}  // namespace

TYPED_TEST(CheckedMapOver, DoesWhatTheMapInsideDoes) {
  checked_map<int, int, TypeParam> checked;
  TypeParam plain;
  support::dice luck(7);
  for (int i = 0; i < 5000; ++i) {
    const int key = luck.roll(60);
    switch (luck.roll(12)) {
      case 0: EXPECT_EQ(checked.erase(key), plain.erase(key)); break;
      case 1: EXPECT_EQ(checked.try_emplace(key, i).second, plain.try_emplace(key, i).second); break;
      case 2: EXPECT_EQ(checked.insert_or_assign(key, i).second, plain.insert_or_assign(key, i).second); break;
      case 3: EXPECT_EQ(++checked[key], ++plain[key]); break;
      case 4: EXPECT_EQ(checked.emplace(key, i).second, plain.emplace(key, i).second); break;
      case 5: EXPECT_EQ(checked.insert({key, i}).second, plain.insert({key, i}).second); break;
      case 6:
        if (const auto it = checked.find(key); it != checked.end()) {
          checked.erase(it);
          plain.erase(key);
        }
        break;
      case 7:
        if (i % 50 == 0) {
          checked.clear();
          plain.clear();
        }
        break;
      case 8: {
        EXPECT_EQ(checked.contains(key), plain.contains(key));
        EXPECT_EQ(checked.count(key), plain.count(key));
        const auto it = std::as_const(checked).find(key);
        EXPECT_EQ(it != checked.end() ? it->second : -1, plain.contains(key) ? plain.at(key) : -1);
        break;
      }
      default:
        if (plain.contains(key)) {
          EXPECT_EQ(checked.at(key), plain.at(key));
          EXPECT_EQ(std::as_const(checked).at(key), plain.at(key));
          checked.at(key) = plain.at(key) = i;
        } else {
          EXPECT_THROW(static_cast<void>(checked.at(key)), std::out_of_range);
        }
    }
    ASSERT_EQ(checked.size(), plain.size());
    ASSERT_EQ(checked.empty(), plain.empty());
  }
  const TypeParam all(checked.begin(), checked.end());
  EXPECT_EQ(all, plain);
}

TEST(CheckedMap, IsMadeFromElements) {
  const words list{{"a", 1}, {"b", 2}};
  EXPECT_EQ(list.at("b"), 2);
  const std::vector<std::pair<const std::string, int>> range{{"c", 3}};
  EXPECT_EQ(words(range.begin(), range.end()).at("c"), 3);
  EXPECT_EQ(words(std::unordered_map<std::string, int>{{"d", 4}}).at("d"), 4);
}

TEST(CheckedMap, IsCopiedAndMovedAsAValue) {
  words one{{"a", 1}};
  words two(one);
  two["b"] = 2;
  EXPECT_EQ(one.size(), 1U);
  words three(std::move(two));
  EXPECT_EQ(three.size(), 2U);
  EXPECT_TRUE(two.empty());  // NOLINT(bugprone-use-after-move): that is what is promised
  one = three;
  EXPECT_EQ(one.at("b"), 2);
  two = std::move(three);
  EXPECT_EQ(two.at("b"), 2);
  words other;
  swap(other, two);
  EXPECT_EQ(other.size(), 2U);
  EXPECT_TRUE(two.empty());
}

TEST(CheckedMap, MovesKeysAndValuesIn) {
  checked_map<std::string, std::unique_ptr<int>> it;
  std::string key(100, 'k');
  it.try_emplace(std::move(key), std::make_unique<int>(1));
  it[std::string(100, 'l')] = std::make_unique<int>(2);
  it.insert_or_assign(std::string(100, 'm'), std::make_unique<int>(3));
  EXPECT_EQ(*it.at(std::string(100, 'l')), 2);
  EXPECT_EQ(it.size(), 3U);
}

TEST(CheckedMap, IsFreeAgainAfterAnException) {
  struct fragile {
    explicit fragile(int n) {
      if (n < 0) throw std::domain_error("negative");
    }
  };
  checked_map<int, fragile> it;
  EXPECT_THROW(it.try_emplace(1, -1), std::domain_error);
  EXPECT_FALSE(it.contains(1));
  it.try_emplace(1, 1);
  EXPECT_TRUE(it.contains(1));
}

// Go: an element may be assigned to while iterating.
TEST(CheckedMapIteration, GoesOnWhileValuesChange) {
  words it{{"a", 1}, {"b", 2}, {"c", 3}};
  int sum = 0;
  for (auto& [key, value] : it) {
    it[key] += 10;
    it.insert_or_assign("b", 5);
    it.at(key) += 1;
    EXPECT_FALSE(it.try_emplace(key, 7).second);
    EXPECT_EQ(it.erase("nobody"), 0U);
    sum += value;
  }
  EXPECT_GE(sum, 16);
  EXPECT_EQ(it.size(), 3U);
}

TEST(CheckedMapIteration, GoesOnFromWhatEraseReturns) {
  checked_map<int, int> it;
  for (int i = 0; i < 100; ++i) it[i] = i;
  int seen = 0;
  for (auto at = it.begin(); at != it.end();) {
    ++seen;
    if (at->second % 2 == 0) {
      at = it.erase(at);
    } else {
      ++at;
    }
  }
  EXPECT_EQ(seen, 100);
  EXPECT_EQ(it.size(), 50U);
  EXPECT_EQ(erase_if(it, [](const auto& each) { return each.second < 50; }), 25U);
  EXPECT_TRUE(std::ranges::all_of(it, [](const auto& each) { return each.second % 2 == 1 && each.second >= 50; }));
}

// Iterators that nobody uses any more may be as old as they like.
TEST(CheckedMapIteration, MayEndAtAnyChange) {
  words it{{"a", 1}, {"b", 2}, {"c", 3}};
  for (auto& [key, value] : it) {
    if (value == 2) {
      it.erase(std::string(key));
      break;
    }
  }
  const auto old = it.find("a");
  it["new"] = 1;
  EXPECT_TRUE(old != it.end());
  const auto copy = old;
  EXPECT_TRUE(copy == old);
}

TEST(CheckedMap, IsNeverReportedUnderALock) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    checked_map<int, int> it;
    support::crew others(where);
    for (int i = 0; i < 6; ++i) {
      others.start([&, i] {
        support::dice luck(static_cast<std::uint64_t>(i));
        for (int k = 0; k < 300; ++k) {
          const std::scoped_lock hold(mu);
          const int key = luck.roll(50);
          switch (luck.roll(5)) {
            case 0: it.erase(key); break;
            case 1: ++it[key]; break;
            case 2:
              for (auto& [each, value] : it) {
                value += each;
                if (luck.roll(20) == 0) turnkey::this_goroutine::yield();
              }
              break;
            case 3: static_cast<void>(it.contains(key)); break;
            default:
              if (const auto found = it.find(key); found != it.end()) ++found->second;
          }
        }
      });
    }
  });
}

TEST(CheckedMap, IsNeverReportedUnderAReadLockWhileNobodyWrites) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    checked_map<int, int> it;
    support::crew others(where);
    for (int i = 0; i < 6; ++i) {
      others.start([&, i] {
        for (int k = 0; k < 200; ++k) {
          if (k % 10 == i) {
            const std::scoped_lock hold(mu);
            ++it[k];
            it.erase(k - 20);
          } else {
            const std::shared_lock hold(mu);
            int sum = 0;
            for (const auto& [key, value] : std::as_const(it)) sum += value;
            for (const auto& [key, value] : it) sum -= value;
            EXPECT_EQ(sum, 0);
            turnkey::this_goroutine::yield();
          }
        }
      });
    }
  });
}

TEST(CheckedMap, GoesIntoAGuarded) {
  turnkey::guarded<words> it;
  it.with([](words& w) { ++w["a"]; });
  EXPECT_EQ(it.read([](const words& w) { return w.at("a"); }), 1);
}

namespace {

// The state is the first that a guard has: its lower half counts up to here.
void go_to_the_end_of_a_round(turnkey::map_guard& guard) {
  constexpr std::uint64_t last = 0x7fff'ffff;
  std::memcpy(static_cast<void*>(&guard), &last, sizeof last);
}

}  // namespace

TEST(MapGuard, GoesOnWhenTheCountOfItsChangesOverflows) {
  for (const bool is_known : {true, false}) {
    turnkey::map_guard guard;
    go_to_the_end_of_a_round(guard);
    { const turnkey::map_guard::write once(guard); }
    const auto before = guard.read();
    {
      turnkey::map_guard::write once(guard);
      if (is_known) {
        once.change();
      } else {
        once.end(1);
      }
    }
    const auto after = guard.read();
    EXPECT_NE(after, before);
    EXPECT_NE(after, turnkey::map_guard().read());  // nor is it what it was a round ago
    { const turnkey::map_guard::write once(guard); }
    EXPECT_EQ(guard.begin(), after);
    guard.look(after);
    guard.step(after);
  }
}

TEST(MapGuard, TellsWhatItsStateWillBeAfterTheWrite) {
  for (const bool is_last : {false, true}) {
    for (const bool has_changed : {false, true}) {
      turnkey::map_guard guard;
      if (is_last) go_to_the_end_of_a_round(guard);
      turnkey::map_guard::changes after = 0;
      {
        turnkey::map_guard::write once(guard);
        if (has_changed) once.change();
        after = once.after();
      }
      EXPECT_EQ(guard.read(), after);
    }
  }
}

TEST(MapGuard, CountsWhatAWriteEndsWith) {
  turnkey::map_guard guard;
  const auto before = guard.begin();
  {
    turnkey::map_guard::write once(guard);
    once.end(0);
  }
  EXPECT_EQ(guard.read(), before);
  {
    turnkey::map_guard::write once(guard);
    once.end(1);
  }
  EXPECT_NE(guard.read(), before);
}
