#include <turnkey/checked_map.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
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

#ifdef TURNKEY_TESTS_HAVE_ABSL
#include <absl/container/flat_hash_map.h>
#include <absl/container/node_hash_map.h>
#endif
#if __has_include(<boost/unordered/unordered_flat_map.hpp>)
#include <boost/unordered/unordered_flat_map.hpp>
#endif
#include <turnkey/guarded.hpp>
#include <turnkey/map_guard.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"
#include "twin_maps.hpp"

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
using maps = testing::Types<std::unordered_map<int, int>, std::map<int, int>
#ifdef TURNKEY_TESTS_HAVE_ABSL
                            ,
                            absl::flat_hash_map<int, int>, absl::node_hash_map<int, int>
#endif
#if __has_include(<boost/unordered/unordered_flat_map.hpp>)
                            ,
                            boost::unordered_flat_map<int, int>
#endif
                            >;
TYPED_TEST_SUITE(CheckedMapOver, maps);

}  // namespace

TYPED_TEST(CheckedMapOver, DoesWhatTheMapInsideDoes) {
  const std::uint64_t first = support::test_seed();
  for (std::uint64_t seed = first; seed < first + 10 && !this->HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    support::dice luck(seed);
    support::twin_maps<TypeParam> maps;
    for (int i = 0; i < 2000 && !this->HasFailure(); ++i) {
      maps.change(luck);
      maps.look(luck);
    }
    maps.expect_the_same();
  }
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

namespace {

enum class suit : std::int8_t { clubs, diamonds, hearts, spades, joker };

}  // namespace

// All in one bucket, and a key that cannot be hashed.
template <>
struct std::hash<suit> {
  std::size_t operator()(suit s) const {
    if (s == suit::joker) throw std::domain_error("has no suit");
    return 3;
  }
};

namespace {

template <class Key>
void expect_counts(const std::vector<Key>& keys) {
  checked_map<Key, int> it;
  for (int round = 1; round <= 3; ++round) {
    for (const Key& key : keys) EXPECT_EQ(++it[key], round);
    for (const Key& key : keys) EXPECT_EQ(it.at(key), round);
  }
  EXPECT_EQ(it.size(), keys.size());
}

}  // namespace

TEST(CheckedMap, CountsKeysThatAreNumbersInAWay) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  expect_counts<std::int64_t>({0, -1, 1, most, -most, most / 2});
  expect_counts<bool>({true, false});
  expect_counts<char>({'a', '\0', '\xff'});
  expect_counts<suit>({suit::spades, suit::clubs, suit::hearts, suit::diamonds});
  const std::array<int, 3> somewhere{};
  expect_counts<const int*>({nullptr, &somewhere[0], &somewhere[1], &somewhere[2]});
}

TEST(CheckedMap, AddsAndCountsByTurns) {
  checked_map<int, int> it;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(++it[i], 1);
    EXPECT_EQ(++it[i], 2);
    EXPECT_EQ(++it[i / 2], 3 + i % 2);
    if (i % 3 == 0) {
      EXPECT_EQ(it[-1] += i, i / 3 * (i / 3 + 1) / 2 * 3);
    }
  }
  EXPECT_EQ(it.size(), 1001U);
}

TEST(CheckedMap, IsFreeAgainAfterAnExceptionInOperatorBrackets) {
  checked_map<suit, int> it;
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(++it[suit::joker], std::domain_error);
    EXPECT_EQ(++it[suit::clubs], i + 1);
  }
  struct fragile {
    fragile() { throw std::domain_error("cannot be made"); }
  };
  checked_map<int, fragile> none;
  for (int i = 0; i < 3; ++i) EXPECT_THROW(none[1], std::domain_error);
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.contains(1));
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

// The state is the first that a guard has: it counts up to here.
void go_to_the_end_of_a_round(turnkey::map_guard& guard) {
  constexpr turnkey::map_guard::changes last = 0x7fff'ffff;
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
    { const turnkey::map_guard::write once(guard); }
    EXPECT_EQ(guard.begin(), after);
    guard.look(after);
    guard.step(after);
  }
}

TEST(MapGuard, TellsWhatItsStateIsAfterTheWrite) {
  for (const bool is_last : {false, true}) {
    for (const int count : {-1, 0, 1}) {
      turnkey::map_guard guard;
      if (is_last) go_to_the_end_of_a_round(guard);
      turnkey::map_guard::write once(guard);
      const auto after = count < 0 ? once.end() : once.end(static_cast<std::size_t>(count));
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
