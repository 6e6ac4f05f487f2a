// Go's tests of sync.Map (src/sync/map_test.go) and of internal/sync's HashTrieMap, rewritten for concurrent_map. Like the
// latter, most run with a good hash, with one that sends all keys to one place, and with one of few bits.
#include <turnkey/concurrent_map.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support.hpp"

using support::stage;
using turnkey::concurrent_map;

namespace {

// Which hash it is is up to the object, so that the tests are compiled once.
struct some_hash {
  std::size_t (*of)(const std::string&);
  std::size_t operator()(const std::string& key) const { return of(key); }
};
struct kind_of_hash {
  const char* name;
  some_hash hash;
};
std::ostream& operator<<(std::ostream& out, const kind_of_hash& kind) { return out << kind.name; }
std::string name_of(const testing::TestParamInfo<kind_of_hash>& info) { return info.param.name; }

class GoHashTrieMap : public testing::TestWithParam<kind_of_hash> {
 protected:
  using map = concurrent_map<std::string, int, some_hash>;
  static some_hash hash() { return GetParam().hash; }
  static constexpr int size = 128;
  static std::string key(int i) { return "key " + std::to_string(i); }

  static void expect_all_present(map& m) {
    for (int i = 0; i < size; ++i) EXPECT_EQ(m.load(key(i)), i);
  }
  static void expect_empty(map& m) {
    for (int i = 0; i < size; ++i) EXPECT_FALSE(m.load(key(i)).has_value());
    EXPECT_EQ(m.size(), 0u);
    m.range([](const std::string&, int) { return ADD_FAILURE() << "an entry in an empty map", false; });
  }
  static void fill(map& m) {
    for (int i = 0; i < size; ++i) EXPECT_EQ(m.load_or_store(key(i), i), std::pair(i, false));
  }

  // The actors of a test: each calls act(me), all at once.
  static constexpr int actors = 4;
  template <class Act>
  static void at_once(const stage& where, Act act) {
    support::start_line line(actors);
    support::crew others(where);
    for (int me = 0; me < actors; ++me) {
      others.start([&, me] {
        line.wait();
        act(me);
      });
    }
  }
};
INSTANTIATE_TEST_SUITE_P(
    With, GoHashTrieMap,
    testing::Values(kind_of_hash{"good_hash", {[](const std::string& key) { return std::hash<std::string>()(key); }}},
                    // With this one, no two keys differ.
                    kind_of_hash{"bad_hash", {[](const std::string&) { return std::size_t{0}; }}},
                    kind_of_hash{"truncated_hash",
                                 {[](const std::string& key) { return std::hash<std::string>()(key) & 15; }}}),
    name_of);

}  // namespace

TEST_P(GoHashTrieMap, LoadsNothingFromAnEmptyMap) {
  map m(hash());
  expect_empty(m);
}

TEST_P(GoHashTrieMap, LoadsWhatLoadOrStoreStored) {
  map m(hash());
  for (int i = 0; i < size; ++i) {
    EXPECT_FALSE(m.load(key(i)).has_value());
    EXPECT_EQ(m.load_or_store(key(i), i), std::pair(i, false));
    EXPECT_EQ(m.load(key(i)), i);
    EXPECT_EQ(m.load_or_store(key(i), -1), std::pair(i, true));
  }
  expect_all_present(m);
}

TEST_P(GoHashTrieMap, VisitsEachEntryOnce) {
  map m(hash());
  fill(m);
  std::map<std::string, int> visits;
  m.range([&](const std::string& k, int v) {
    EXPECT_EQ(k, key(v));
    return ++visits[k] == 1;
  });
  EXPECT_EQ(visits.size(), static_cast<std::size_t>(size));
}

TEST_P(GoHashTrieMap, IsEmptyAfterClear) {
  map m(hash());
  fill(m);
  m.clear();
  expect_empty(m);
  fill(m);
  expect_all_present(m);
}

// TestConcurrentClear
TEST_P(GoHashTrieMap, SurvivesClearsByMany) {
  support::run_everywhere([](const stage& where) {
    map m(hash());
    at_once(where, [&](int) {
      for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < size; ++i) {
          m.store(key(i), i);
          if (const auto v = m.load(key(i))) {
            EXPECT_EQ(*v, i);
          }
        }
        m.clear();
      }
    });
    m.clear();
    expect_empty(m);
  });
}

TEST_P(GoHashTrieMap, DeletesByCompareOnlyWhatIsEqual) {
  map m(hash());
  for (int round = 0; round < 3; ++round) {
    fill(m);
    for (int i = 0; i < size; ++i) {
      EXPECT_FALSE(m.compare_and_delete(key(i), i + 1));
      EXPECT_TRUE(m.compare_and_delete(key(i), i));
      EXPECT_FALSE(m.compare_and_delete(key(i), i));
      EXPECT_FALSE(m.load(key(i)).has_value());
    }
    expect_empty(m);
  }
  // One, then several, of many; the others stay.
  fill(m);
  for (const int i : {15, 3, 64, 127}) EXPECT_TRUE(m.compare_and_delete(key(i), i));
  EXPECT_EQ(m.size(), static_cast<std::size_t>(size - 4));
  for (int i = 0; i < size; ++i) EXPECT_EQ(m.load(key(i)).has_value(), i != 15 && i != 3 && i != 64 && i != 127);
}

TEST_P(GoHashTrieMap, DeletesWhileItIterates) {
  map m(hash());
  fill(m);
  m.range([&](const std::string& k, int v) {
    EXPECT_TRUE(m.compare_and_delete(k, v));
    return true;
  });
  expect_empty(m);
  fill(m);
  m.range([&](const std::string& k, int v) {
    EXPECT_EQ(m.load_and_delete(k), v);
    return true;
  });
  expect_empty(m);
}

TEST_P(GoHashTrieMap, SwapsByCompareOnlyWhatIsEqual) {
  map m(hash());
  fill(m);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < size; ++i) {
      const int now = i + round;
      EXPECT_FALSE(m.compare_and_swap(key(i), now + 1, now + 2));
      EXPECT_TRUE(m.compare_and_swap(key(i), now, now + 1));
      EXPECT_FALSE(m.compare_and_swap(key(i), now, now + 1));
      EXPECT_EQ(m.load(key(i)), now + 1);
    }
  }
  m.range([&](const std::string& k, int v) {
    EXPECT_TRUE(m.compare_and_swap(k, v, -1));
    return true;
  });
  for (int i = 0; i < size; ++i) EXPECT_EQ(m.load(key(i)), -1);
}

TEST_P(GoHashTrieMap, SwapsAndTellsWhatWasThere) {
  map m(hash());
  for (int i = 0; i < size; ++i) {
    EXPECT_FALSE(m.swap(key(i), i).has_value());
    EXPECT_EQ(m.swap(key(i), i), i);
    EXPECT_EQ(m.swap(key(i), i + 1), i);
    EXPECT_EQ(m.load(key(i)), i + 1);
  }
}

// ...ConcurrentUnsharedKeys, ...ConcurrentUnsharedKeysDelete: each actor has keys of its own, which nobody disturbs.
TEST_P(GoHashTrieMap, KeepsTheKeysOfEachActorApart) {
  support::run_everywhere([](const stage& where) {
    map m(hash());
    at_once(where, [&](int me) {
      const auto mine = [&](int i) { return key(i) + " of " + std::to_string(me); };
      const int keys = size / 4;
      for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < keys; ++i) {
          EXPECT_EQ(m.load_or_store(mine(i), i), std::pair(i, false));
          EXPECT_EQ(m.load_or_store(mine(i), i + 9), std::pair(i, true));
          EXPECT_TRUE(m.compare_and_swap(mine(i), i, i + 1));
          EXPECT_EQ(m.swap(mine(i), i + 2), i + 1);
        }
        for (int i = 0; i < keys; ++i) EXPECT_EQ(m.load(mine(i)), i + 2);
        for (int i = 0; i < keys; ++i) {
          if (i % 2 == 0) {
            EXPECT_TRUE(m.compare_and_delete(mine(i), i + 2));
          } else {
            EXPECT_EQ(m.load_and_delete(mine(i)), i + 2);
          }
          EXPECT_FALSE(m.load(mine(i)).has_value());
        }
      }
    });
    EXPECT_EQ(m.size(), 0u);
  });
}

// ...ConcurrentSharedKeys: all want the same keys; what one can have once, one has.
TEST_P(GoHashTrieMap, GivesASharedKeyToExactlyOne) {
  support::run_everywhere([](const stage& where) {
    map m(hash());
    const int keys = size / 4;
    std::vector<std::atomic<int>> stored(static_cast<std::size_t>(keys));
    std::vector<std::atomic<int>> deleted(static_cast<std::size_t>(keys));
    std::vector<std::atomic<int>> swapped(static_cast<std::size_t>(keys));
    support::start_line line(actors);
    at_once(where, [&](int) {
      for (int i = 0; i < keys; ++i) {
        if (!m.load_or_store(key(i), i).second) ++stored[static_cast<std::size_t>(i)];
      }
      line.wait();
      for (int i = 0; i < keys; ++i) {
        if (m.compare_and_swap(key(i), i, -i - 1)) ++swapped[static_cast<std::size_t>(i)];
      }
      line.wait();
      for (int i = 0; i < keys; ++i) {
        const bool is_mine = i % 2 == 0 ? m.compare_and_delete(key(i), -i - 1) : m.load_and_delete(key(i)).has_value();
        if (is_mine) ++deleted[static_cast<std::size_t>(i)];
      }
    });
    for (const auto* each : {&stored, &swapped, &deleted}) {
      for (const auto& count : *each) EXPECT_EQ(count, 1);
    }
    EXPECT_EQ(m.size(), 0u);
  });
}

// TestConcurrentCache (go.dev/issue/70970): of a CompareAndSwap and a CompareAndDelete of the same pair, not both succeed.
TEST_P(GoHashTrieMap, LetsOnlyOneOfCompareAndSwapAndCompareAndDeleteSucceed) {
  support::run_everywhere([](const stage& where) {
    map m(hash());
    constexpr int rounds = 300;
    std::array<std::atomic<int>, rounds> successes{};
    support::start_line line(actors);
    at_once(where, [&](int me) {
      for (int i = 0; i < rounds; ++i) {
        if (me == 0) m.store("k", 0);
        line.wait();
        const bool is_mine = me % 2 == 0 ? m.compare_and_swap("k", 0, 1 + me) : m.compare_and_delete("k", 0);
        if (is_mine) ++successes[static_cast<std::size_t>(i)];
        line.wait();
      }
    });
    for (const auto& count : successes) EXPECT_EQ(count, 1);
  });
}

// TestConcurrentRange: each key is met exactly once, with a value that it has had, whatever others store.
TEST(GoMap, RangesOverEveryKeyOnceUnderWriters) {
  support::run_everywhere([](const stage& where) {
    constexpr std::int64_t size = 1 << 10;
    concurrent_map<std::int64_t, std::int64_t> m;
    for (std::int64_t n = 1; n <= size; ++n) m.store(n, n);
    std::atomic<bool> is_over{false};
    support::crew others(where);
    for (std::int64_t g = 2; g <= 4; ++g) {
      others.start([&, g] {
        for (std::int64_t i = 0; !is_over; ++i) {
          for (std::int64_t n = 1; n < size && !is_over; ++n) {
            m.store(n, n * i * g);
            if (n % 64 == 0) turnkey::this_goroutine::yield();
          }
        }
      });
    }
    for (int rounds = 0; rounds < 16; ++rounds) {
      std::map<std::int64_t, bool> seen;
      m.range([&](std::int64_t k, std::int64_t v) {
        EXPECT_EQ(v % k, 0);
        EXPECT_TRUE(seen.emplace(k, true).second) << "twice: " << k;
        return true;
      });
      EXPECT_EQ(seen.size(), static_cast<std::size_t>(size));
    }
    is_over = true;
  });
}

// TestIssue40999: what was deleted is freed, though keys come and go for ever.
TEST(GoMap, FreesWhatWasDeleted) {
  concurrent_map<std::shared_ptr<int>, std::shared_ptr<int>> m;
  m.store(nullptr, nullptr);
  std::vector<std::weak_ptr<int>> watched;
  std::size_t last = 0;
  for (int i = 0; i < 5000; ++i) {
    auto key = std::make_shared<int>(i);
    watched.emplace_back(key);
    m.store(key, key);
    m.load_and_delete(key);
    while (last < watched.size() && watched[last].expired()) ++last;
  }
  EXPECT_GE(last, 4000u);
}

// TestMapRangeNestedCall
TEST(GoMap, MayBeChangedByRangesInsideARange) {
  concurrent_map<int, std::string> m;
  for (const auto& [key, value] : {std::pair(0, "hello"), std::pair(1, "world"), std::pair(2, "Go")})
    m.store(key, value);
  m.range([&](int key, const std::string& value) {
    m.range([&](int inner_key, const std::string& inner_value) {
      EXPECT_EQ(m.load(inner_key), inner_value);
      EXPECT_FALSE(m.load(42).has_value());
      EXPECT_FALSE(m.load_or_store(42, "dummy").second);
      EXPECT_EQ(m.load_or_store(42, "dummy"), std::pair(std::string("dummy"), true));
      EXPECT_EQ(m.load_and_delete(42), "dummy");
      return true;
    });
    EXPECT_EQ(m.load_and_delete(key), value);
    return true;
  });
  EXPECT_EQ(m.size(), 0u);
}

// TestCompareAndSwap_NonExistingKey
TEST(GoMap, DoesNotSwapWhatIsNotThere) {
  concurrent_map<int, std::shared_ptr<int>> m;
  EXPECT_FALSE(m.compare_and_swap(1, nullptr, std::make_shared<int>(42)));
}

namespace {

// What it must match.
class locked_map {
 public:
  std::optional<int> load(int k) {
    return change(k, [](auto) {});
  }
  void store(int k, int v) { swap(k, v); }
  std::pair<int, bool> load_or_store(int k, int v) {
    const std::scoped_lock hold(mu_);
    const auto [at, is_new] = map_.try_emplace(k, v);
    return {at->second, !is_new};
  }
  std::optional<int> load_and_delete(int k) {
    return change(k, [&](auto at) {
      if (at != map_.end()) map_.erase(at);
    });
  }
  void erase(int k) { load_and_delete(k); }
  std::optional<int> swap(int k, int v) {
    return change(k, [&](auto) { map_[k] = v; });
  }
  bool compare_and_swap(int k, int a, int b) {
    return change(k, [&](auto at) {
             if (at != map_.end() && at->second == a) at->second = b;
           }) == a;
  }
  bool compare_and_delete(int k, int a) {
    return change(k, [&](auto at) {
             if (at != map_.end() && at->second == a) map_.erase(at);
           }) == a;
  }
  void clear() { map_.clear(); }
  template <class F>
  void range(F f) {
    for (const auto& [k, v] : map_) {
      if (!f(k, v)) return;
    }
  }

 private:
  template <class F>
  std::optional<int> change(int k, F f) {
    const std::scoped_lock hold(mu_);
    const auto at = map_.find(k);
    const std::optional<int> before = at != map_.end() ? std::optional(at->second) : std::nullopt;
    f(at);
    return before;
  }
  std::mutex mu_;
  std::unordered_map<int, int> map_;
};

}  // namespace

// TestMapMatchesRWMutex, ...DeepCopy, ...HashTrieMap: random calls have the results that a locked map has.
TEST(GoMap, MatchesAMapBehindAMutex) {
  using calls = std::vector<std::array<int, 3>>;
  const auto perform = [](auto& m, const calls& all) {
    std::vector<std::string> results;
    const auto text = [](const std::optional<int>& v) { return v ? std::to_string(*v) : std::string("none"); };
    for (const auto& [what, k, v] : all) {
      switch (what) {
        case 0: results.push_back(text(m.load(k))); break;
        case 1: m.store(k, v); break;
        case 2: {
          const auto [value, is_loaded] = m.load_or_store(k, v);
          results.push_back(std::to_string(value) + (is_loaded ? " loaded" : " stored"));
          break;
        }
        case 3: results.push_back(text(m.load_and_delete(k))); break;
        case 4: m.erase(k); break;
        case 5: results.push_back(text(m.swap(k, v))); break;
        case 6: results.emplace_back(m.compare_and_swap(k, v, v + 1) ? "true" : "false"); break;
        case 7: results.emplace_back(m.compare_and_delete(k, v) ? "true" : "false"); break;
        default: m.clear(); break;
      }
    }
    std::map<int, int> rest;
    m.range([&](int k, int v) { return rest.emplace(k, v).second; });
    for (const auto& [k, v] : rest) results.push_back(std::to_string(k) + ":" + std::to_string(v));
    return results;
  };
  support::dice luck(1);
  for (int round = 0; round < 300; ++round) {
    calls all(static_cast<std::size_t>(luck.roll(80)));
    for (auto& each : all) each = {luck.roll(9), luck.roll(6), luck.roll(3)};
    concurrent_map<int, int> ours;
    locked_map theirs;
    ASSERT_EQ(perform(ours, all), perform(theirs, all));
  }
}
