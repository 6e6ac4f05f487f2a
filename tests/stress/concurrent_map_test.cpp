#include <turnkey/concurrent_map.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;
using turnkey::concurrent_map;

namespace {

// A value that shows whether it is torn, of another key, or dead.
struct sealed {
  std::int64_t key = 0;
  std::int64_t number = 0;
  std::int64_t seal = 0;
  static sealed of(std::int64_t key, std::int64_t number) { return {key, number, key * 31 + number * 17}; }
  [[nodiscard]] bool is_whole(std::int64_t its_key) const { return key == its_key && seal == key * 31 + number * 17; }
  bool operator==(const sealed&) const = default;
};
// The same in a node with an end of its own.
struct sealed_node {
  explicit sealed_node(const sealed& s) : content(std::make_unique<sealed>(s)) {}
  sealed_node(const sealed_node& other) : content(std::make_unique<sealed>(*other.content)) {}
  sealed_node(sealed_node&&) noexcept = default;
  sealed_node& operator=(const sealed_node&) = delete;
  ~sealed_node() {
    if (content) content->seal = -1;
  }
  bool operator==(const sealed_node& other) const { return *content == *other.content; }
  [[nodiscard]] bool is_whole(std::int64_t its_key) const { return content->is_whole(its_key); }
  std::unique_ptr<sealed> content;
};

template <class Value>
Value make(std::int64_t key, std::int64_t number) {
  return Value(sealed::of(key, number));
}

// All operations at once on few keys and on many, while the map grows and is cleared.
template <class Map, class Value>
void mix() {
  support::stress().run(2048, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 6;
    Map m;
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    support::crew stopper(where);
    stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    support::crew others(where);
    for (std::size_t me = 0; me < actors; ++me) {
      others.start([&, me] {
        support::dice luck(seed + me);
        for (int i = 0; i < size; ++i) {
          const std::int64_t k = luck.roll(luck.roll(2) == 0 ? 4 : 2 * size);
          const Value a = make<Value>(k, luck.roll(3));
          const Value b = make<Value>(k, luck.roll(3));
          bool is_changed = false;
          bool is_called = false;
          const auto change = [&](std::optional<Value>& it) {
            is_called = true;
            if (it) {
              EXPECT_TRUE(it->is_whole(k));
            }
            luck.dawdle();
            it.reset();
            if (luck.roll(3) != 0) it.emplace(a);
          };
          switch (luck.roll(luck.roll(20) == 0 ? 12 : 9)) {
            case 0: m.store(k, a); break;
            case 1: m.load_or_store(k, a); break;
            case 2: m.swap(k, a); break;
            case 3: m.erase(k); break;
            case 4: m.compare_and_swap(k, a, b); break;
            case 5: m.compare_and_delete(k, a); break;
            case 6:
              is_changed = true;
              switch (luck.roll(3)) {
                case 0: is_changed = m.update_for(luck.moment(), k, change); break;
                case 1: is_changed = m.update(switches.renew(me), k, change); break;
                default: m.update(k, change);
              }
              EXPECT_EQ(is_changed, is_called);
              break;
            case 9: {
              std::set<std::int64_t> met;
              m.range([&](std::int64_t key, const Value& value) {
                EXPECT_TRUE(value.is_whole(key));
                EXPECT_TRUE(met.insert(key).second) << "twice: " << key;
                return luck.roll(100) != 0;
              });
              break;
            }
            case 10:
              if (luck.roll(10) == 0) m.clear();
              break;
            case 11: static_cast<void>(m.size()); break;
            default:
              if (const std::optional<Value> seen = m.load(k)) {
                EXPECT_TRUE(seen->is_whole(k));
              }
          }
          luck.dawdle();
        }
      });
    }
    others.join();
    is_over = true;
    stopper.join();
    std::size_t met = 0;
    m.range([&](std::int64_t, const Value&) { return ++met > 0; });
    EXPECT_EQ(met, m.size());
  });
}

}  // namespace

TEST(ConcurrentMapStress, KeepsEveryEntryWholeInTheTable) { mix<concurrent_map<std::int64_t, sealed>, sealed>(); }
TEST(ConcurrentMapStress, KeepsEveryEntryWholeInNodes) {
  mix<concurrent_map<std::int64_t, sealed_node>, sealed_node>();
}

// A key that is there all the while is found by every load and met by every range, however the table grows around it.
TEST(ConcurrentMapStress, NeverLosesSightOfAKeyWhileItGrows) {
  support::stress().run(4096, [](const stage& where, int size, std::uint64_t seed) {
    concurrent_map<std::string, int> nodes;
    concurrent_map<int, int> flat;
    for (int i = 0; i < 5; ++i) {
      nodes.store(std::to_string(-i), 0);
      flat.store(-i, 0);
    }
    std::atomic<int> growing{2};
    support::crew others(where);
    for (int me = 0; me < 2; ++me) {
      others.start([&, me] {
        support::dice luck(seed + static_cast<std::uint64_t>(me));
        for (int i = 1; i <= size; ++i) {
          nodes.store(std::to_string(2 * i + me), i);
          flat.store(2 * i + me, i);
          nodes.update(std::to_string(-i % 5), [](std::optional<int>& n) { ++*n; });
          flat.store(-i % 5, i);
          luck.dawdle();
        }
        --growing;
      });
    }
    for (int me = 0; me < 2; ++me) {
      others.start([&] {
        while (growing != 0) {
          for (int i = 0; i < 5; ++i) {
            EXPECT_TRUE(nodes.load(std::to_string(-i)).has_value());
            EXPECT_TRUE(flat.load(-i).has_value());
          }
          int met = 0;
          nodes.range([&](const std::string& key, int) { return met += key == "0" || key[0] == '-', true; });
          flat.range([&](int key, int) { return met += key <= 0, true; });
          EXPECT_EQ(met, 10);
          turnkey::this_goroutine::yield();
        }
      });
    }
    others.join();
    EXPECT_EQ(flat.size(), static_cast<std::size_t>(5 + 2 * size));
    EXPECT_EQ(nodes.size(), flat.size());
  });
}

// Whoever takes the last key out knows that the others are done with the map, and ends it.
TEST(ConcurrentMapStress, IsNotTouchedAfterTheLastCallHasReturned) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    using map = concurrent_map<int, std::string>;
    for (int round = 0; round < size; ++round) {
      support::mortal<map> m;
      std::atomic<int> at_it{3};
      support::crew others(where);
      for (std::uint64_t me = 0; me < 3; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 0; i < 30; ++i) {
            m->store(luck.roll(200), "a string that does not fit into itself");
            static_cast<void>(m->load(luck.roll(200)));
            m->update(luck.roll(3), [](std::optional<std::string>& s) { s = "x"; });
            m->erase(luck.roll(200));
          }
          if (--at_it == 0) m.end();
        });
      }
    }
  });
}
