#include <turnkey/concurrent_map.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <turnkey/mutex.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::concurrent_map;

static_assert(support::stays_where_it_is<concurrent_map<int, int>>);
static_assert(std::is_default_constructible_v<concurrent_map<std::string, std::string>>);
static_assert(turnkey::map_fits_a_slot<int, int, std::hash<int>, std::equal_to<>>);
static_assert(!turnkey::map_fits_a_slot<std::string, int, turnkey::map_hash<std::string>, std::equal_to<>>);

namespace {

// --- keys and values of every kind that is stored in another way ------------------------------------------------------

// Four words in a slot.
struct wide {
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int64_t c = 0;
  bool operator==(const wide&) const = default;
};

// Neither fits a slot nor has its characters in the node.
struct name {
  std::string text;
  bool operator==(const name&) const = default;
};
struct hash_of_name {
  std::size_t operator()(const name& n) const { return std::hash<std::string>()(n.text); }
};
struct same_bucket {
  std::size_t operator()(const auto&) const noexcept { return 0; }
};
// Which buckets there are is up to the object, so that one type does for all: 0 for one bucket.
struct masked_hash {
  int mask;
  std::size_t operator()(int key) const noexcept { return static_cast<std::size_t>(key & mask); }
};

// How many values of the type below there are.
std::atomic<int> living{0};

class counted {
 public:
  counted(int number = 0) : number_(std::make_unique<int>(number)) { ++living; }  // NOLINT(google-explicit-constructor)
  counted(const counted& other) : number_(std::make_unique<int>(*other.number_)) { ++living; }
  counted(counted&& other) noexcept : number_(std::move(other.number_)) { ++living; }
  counted& operator=(const counted&) = delete;
  ~counted() { --living; }
  friend bool operator==(const counted& a, const counted& b) { return *a.number_ == *b.number_; }
  [[nodiscard]] int number() const { return *number_; }

 private:
  std::unique_ptr<int> number_;
};

// Keys and values are numbers in another shape: value_of<V>(i) is the i-th V, and number_in() tells which one it is.
template <class T>
T value_of(int i) {
  if constexpr (std::is_same_v<T, std::string>) return "text too long for its own storage " + std::to_string(i);
  if constexpr (std::is_same_v<T, name>) return name{std::to_string(i)};
  if constexpr (std::is_same_v<T, wide>) return wide{i, -i, i};
  if constexpr (std::is_same_v<T, counted>) return counted(i);
  if constexpr (std::is_arithmetic_v<T>) return static_cast<T>(i);
}
int first_number(std::int64_t n) { return static_cast<int>(n); }
int first_number(const std::string& s) { return std::atoi(s.c_str() + (s.rfind(' ') + 1)); }
int first_number(const name& n) { return std::atoi(n.text.c_str()); }
int first_number(const wide& w) { return static_cast<int>(w.a); }
int first_number(const counted& c) { return c.number(); }
template <class T>
int number_in(const T& it) {
  const int n = first_number(it);
  EXPECT_TRUE(it == value_of<T>(n)) << "a part of it is not that of number " << n;
  return n;
}
template <class T>
std::optional<int> number_in(const std::optional<T>& it) {
  return it ? std::optional(number_in(*it)) : std::nullopt;
}

// A concurrent_map whose type is erased, so that what goes for each kind of map is compiled once.
class some_map {
 public:
  some_map() = default;
  some_map(const some_map&) = delete;
  some_map& operator=(const some_map&) = delete;
  virtual ~some_map() = default;

  [[nodiscard]] virtual std::optional<int> load(int key) const = 0;
  virtual void store(int key, int value) = 0;
  virtual std::pair<int, bool> load_or_store(int key, int value) = 0;
  virtual std::optional<int> swap(int key, int value) = 0;
  virtual std::optional<int> load_and_delete(int key) = 0;
  virtual bool erase(int key) = 0;
  virtual bool compare_and_swap(int key, int expected, int desired) = 0;
  virtual bool compare_and_delete(int key, int expected) = 0;
  virtual void update(int key, const std::function<void(std::optional<int>&)>& f) = 0;
  virtual void range(const std::function<bool(int, int)>& f) const = 0;
  virtual void clear() = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
};

template <class K, class V, class Hash>
class erased final : public some_map {
 public:
  explicit erased(Hash hash) : map_(hash) {}
  [[nodiscard]] std::optional<int> load(int key) const override { return number_in(map_.load(value_of<K>(key))); }
  void store(int key, int value) override { map_.store(value_of<K>(key), value_of<V>(value)); }
  std::pair<int, bool> load_or_store(int key, int value) override {
    const K k = value_of<K>(key);
    const auto [seen, is_loaded] = map_.load_or_store(k, value_of<V>(value));
    return {number_in(seen), is_loaded};
  }
  std::optional<int> swap(int key, int value) override {
    const K k = value_of<K>(key);
    return number_in(map_.swap(k, value_of<V>(value)));
  }
  std::optional<int> load_and_delete(int key) override { return number_in(map_.load_and_delete(value_of<K>(key))); }
  bool erase(int key) override { return map_.erase(value_of<K>(key)); }
  bool compare_and_swap(int key, int expected, int desired) override {
    const K k = value_of<K>(key);
    return map_.compare_and_swap(k, value_of<V>(expected), value_of<V>(desired));
  }
  bool compare_and_delete(int key, int expected) override {
    return map_.compare_and_delete(value_of<K>(key), value_of<V>(expected));
  }
  void update(int key, const std::function<void(std::optional<int>&)>& f) override {
    const K k = value_of<K>(key);
    map_.update(k, [&](std::optional<V>& it) {
      std::optional<int> n = number_in(it);
      f(n);
      it.reset();
      if (n) it.emplace(value_of<V>(*n));
    });
  }
  void range(const std::function<bool(int, int)>& f) const override {
    map_.range([&](const K& key, const V& value) { return f(number_in(key), number_in(value)); });
  }
  void clear() override { map_.clear(); }
  [[nodiscard]] std::size_t size() const override { return map_.size(); }

 private:
  concurrent_map<K, V, Hash> map_;
};

template <class K, class V, class Hash = turnkey::map_hash<K>>
std::unique_ptr<some_map> make_map(Hash hash = {}) {
  return std::make_unique<erased<K, V, Hash>>(hash);
}

struct kind {
  const char* name;
  std::unique_ptr<some_map> (*make)();
  bool has_one_bucket;
};
std::ostream& operator<<(std::ostream& out, const kind& it) { return out << it.name; }

constexpr kind in_slots{"in_slots", [] { return make_map<int, int>(); }, false};
constexpr kind in_wide_slots{"in_wide_slots", [] { return make_map<std::int64_t, wide>(); }, false};
constexpr kind in_slots_of_one_bucket{"in_slots_of_one_bucket", [] { return make_map<int, int>(masked_hash{0}); },
                                      true};
constexpr kind in_slots_of_few_buckets{"in_slots_of_few_buckets", [] { return make_map<int, int>(masked_hash{15}); },
                                       false};
constexpr kind overwritten_in_nodes{"overwritten_in_nodes", [] { return make_map<std::string, int>(); }, false};
constexpr kind in_nodes_of_strings{"in_nodes_of_strings", [] { return make_map<std::string, std::string>(); }, false};
constexpr kind in_nodes{"in_nodes", [] { return make_map<name, counted, hash_of_name>(); }, false};
constexpr kind in_nodes_of_one_bucket{"in_nodes_of_one_bucket",
                                      [] { return make_map<std::string, std::string, same_bucket>(); }, true};

std::string name_of_kind(const testing::TestParamInfo<kind>& info) { return info.param.name; }

class EveryMap : public testing::TestWithParam<kind> {};
INSTANTIATE_TEST_SUITE_P(Entries, EveryMap,
                         testing::Values(in_slots, in_wide_slots, in_slots_of_one_bucket, in_slots_of_few_buckets,
                                         overwritten_in_nodes, in_nodes_of_strings, in_nodes, in_nodes_of_one_bucket),
                         name_of_kind);

// Everything that range() meets; fails if it meets a key twice.
std::vector<std::pair<int, int>> contents(const some_map& map) {
  std::vector<std::pair<int, int>> all;
  map.range([&](int key, int value) {
    EXPECT_TRUE(std::ranges::none_of(all, [&](const auto& other) { return other.first == key; })) << "met twice";
    all.emplace_back(key, value);
    return true;
  });
  return all;
}

}  // namespace

// --- each operation by itself -----------------------------------------------------------------------------------------

TEST_P(EveryMap, IsEmptyAtFirst) {
  const std::unique_ptr<some_map> m = GetParam().make();
  constexpr int k = 1;
  constexpr int v = 1;
  EXPECT_EQ(m->size(), 0u);
  EXPECT_FALSE(m->load(k).has_value());
  EXPECT_FALSE(m->erase(k));
  EXPECT_FALSE(m->load_and_delete(k).has_value());
  EXPECT_FALSE(m->compare_and_swap(k, v, v));
  EXPECT_FALSE(m->compare_and_delete(k, v));
  m->clear();
  EXPECT_TRUE(contents(*m).empty());
}

TEST_P(EveryMap, DoesWhatItsOperationsSay) {
  const std::unique_ptr<some_map> m = GetParam().make();
  constexpr int k = 1;

  m->store(k, 1);
  EXPECT_EQ(m->load(k), 1);
  m->store(k, 2);
  EXPECT_EQ(m->load(k), 2);
  EXPECT_EQ(m->size(), 1u);

  EXPECT_EQ(m->load_or_store(k, 3), std::pair(2, true));
  EXPECT_EQ(m->swap(k, 4), 2);
  EXPECT_FALSE(m->compare_and_swap(k, 5, 6));
  EXPECT_EQ(m->load(k), 4);
  EXPECT_TRUE(m->compare_and_swap(k, 4, 5));
  EXPECT_EQ(m->load(k), 5);
  EXPECT_FALSE(m->compare_and_delete(k, 4));
  EXPECT_TRUE(m->compare_and_delete(k, 5));
  EXPECT_FALSE(m->load(k).has_value());
  EXPECT_EQ(m->size(), 0u);

  EXPECT_EQ(m->load_or_store(k, 7), std::pair(7, false));
  EXPECT_EQ(m->load_and_delete(k), 7);
  EXPECT_FALSE(m->swap(k, 8).has_value());
  EXPECT_EQ(m->load(k), 8);
  EXPECT_TRUE(m->erase(k));
  EXPECT_FALSE(m->erase(k));

  m->update(k, [&](std::optional<int>& it) {
    EXPECT_FALSE(it.has_value());
    it.emplace(9);
  });
  EXPECT_EQ(m->load(k), 9);
  m->update(k, [&](std::optional<int>& it) {
    EXPECT_EQ(it, 9);
    it.emplace(10);
  });
  EXPECT_EQ(m->load(k), 10);
  m->update(k, [](std::optional<int>& it) { it.reset(); });
  EXPECT_FALSE(m->load(k).has_value());
  m->update(k, [](std::optional<int>& it) { EXPECT_FALSE(it.has_value()); });
  EXPECT_EQ(m->size(), 0u);
}

TEST_P(EveryMap, KeepsWhatItHoldsWhileItGrowsAndForgetsAllWhenCleared) {
  const int n = GetParam().has_one_bucket ? 300 : 3000;
  const int living_before = living;
  {
    const std::unique_ptr<some_map> m = GetParam().make();
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < n; ++i) {
        m->store(i, i);
        if (i % 100 == 0) {
          for (int j = 0; j <= i; ++j) ASSERT_EQ(m->load(j), j) << j << " of " << i;
          ASSERT_FALSE(m->load(i + 1).has_value());
        }
      }
      EXPECT_EQ(m->size(), static_cast<std::size_t>(n));
      for (int i = 0; i < n; i += 2) EXPECT_TRUE(m->erase(i));
      EXPECT_EQ(m->size(), static_cast<std::size_t>(n / 2));
      if (n <= 300) {
        EXPECT_EQ(contents(*m).size(), static_cast<std::size_t>(n / 2));
      }
      std::size_t met = 0;
      m->range([&](int, int) { return ++met < 10; });
      EXPECT_EQ(met, 10u);
      m->clear();
      EXPECT_EQ(m->size(), 0u);
      EXPECT_FALSE(m->load(1).has_value());
      EXPECT_EQ(living, living_before) << "with nobody else in the map, clear() destroys at once";
    }
    m->store(1, 1);
  }
  EXPECT_EQ(living, living_before);
}

// The same random operations on a map and on a std::unordered_map.
TEST_P(EveryMap, DoesWhatAnUnorderedMapDoes) {
  const std::uint64_t first = support::test_seed();
  for (std::uint64_t seed = first; seed < first + 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    support::dice luck(seed);
    const std::unique_ptr<some_map> m = GetParam().make();
    std::unordered_map<int, int> reference;
    const int keys = 1 + luck.roll(seed % 3 == 0 ? 500 : 20);
    const auto value_at = [&](int k) -> std::optional<int> {
      const auto at = reference.find(k);
      if (at == reference.end()) return std::nullopt;
      return at->second;
    };
    for (int step = 0; step < 1500; ++step) {
      const int k = luck.roll(keys);
      const int a = luck.roll(3);
      const int b = luck.roll(3);
      const std::optional<int> before = value_at(k);
      const bool is_expected = before && *before == a;
      switch (luck.roll(20)) {
        case 0:
        case 1:
        case 2: ASSERT_EQ(m->load(k), before); break;
        case 3:
        case 4:
        case 5:
          m->store(k, a);
          reference[k] = a;
          break;
        case 6:
        case 7: {
          const auto [seen, is_loaded] = m->load_or_store(k, a);
          ASSERT_EQ(is_loaded, before.has_value());
          ASSERT_EQ(seen, before ? *before : a);
          reference.try_emplace(k, a);
          break;
        }
        case 8:
          ASSERT_EQ(m->swap(k, a), before);
          reference[k] = a;
          break;
        case 9:
          ASSERT_EQ(m->load_and_delete(k), before);
          reference.erase(k);
          break;
        case 10:
        case 11: ASSERT_EQ(m->erase(k), reference.erase(k) == 1); break;
        case 12:
        case 13:
          ASSERT_EQ(m->compare_and_swap(k, a, b), is_expected);
          if (is_expected) reference[k] = b;
          break;
        case 14:
          ASSERT_EQ(m->compare_and_delete(k, a), is_expected);
          if (is_expected) reference.erase(k);
          break;
        case 15:
        case 16:
        case 17:
          m->update(k, [&](std::optional<int>& it) {
            ASSERT_EQ(it, before);
            it.reset();
            if (b != 0) it.emplace(b);
          });
          reference.erase(k);
          if (b != 0) reference[k] = b;
          break;
        case 18: {
          std::size_t met = 0;
          m->range([&](int each, int its) {
            EXPECT_EQ(value_at(each), its);
            return ++met, true;
          });
          ASSERT_EQ(met, reference.size());
          break;
        }
        case 19:
          if (luck.roll(10) == 0) {
            m->clear();
            reference.clear();
          }
          break;
        default: break;
      }
      ASSERT_EQ(m->size(), reference.size());
    }
  }
}

// --- keys -------------------------------------------------------------------------------------------------------------

TEST(ConcurrentMap, LooksStringsUpByWhateverIsOne) {
  concurrent_map<std::string, int> m;
  m.store("literal", 1);
  m.store(std::string_view("view"), 2);
  m.store(std::string("string"), 3);
  EXPECT_EQ(m.load(std::string_view("literal")), 1);
  EXPECT_EQ(m.load("view"), 2);
  EXPECT_EQ(m.load(std::string("view")), 2);
  const char* const pointer = "string";
  EXPECT_EQ(m.load(pointer), 3);
  m.update("view", [](std::optional<int>& n) { ++*n; });
  EXPECT_EQ(m.load_and_delete("view"), 3);
  EXPECT_TRUE(m.compare_and_swap("literal", 1, 5));
  EXPECT_TRUE(m.compare_and_delete(std::string_view("literal"), 5));
  m.store({}, 7);
  EXPECT_EQ(m.load({}), 7);
  EXPECT_EQ(m.load(""), 7);
  const std::string with_null("a\0b", 3);
  m.store(with_null, 8);
  EXPECT_EQ(m.load(with_null), 8);
  EXPECT_FALSE(m.load("a").has_value());
}

namespace {

int keys_made = 0;
struct costly_key {
  explicit costly_key(int n) : number(n) { ++keys_made; }
  costly_key(const costly_key& other) : number(other.number) { ++keys_made; }
  int number;
};
struct costly_hash {
  using is_transparent = void;
  std::size_t operator()(const costly_key& key) const { return std::hash<int>()(key.number); }
  std::size_t operator()(int key) const { return std::hash<int>()(key); }
};
struct costly_equal {
  using is_transparent = void;
  bool operator()(const costly_key& a, const costly_key& b) const { return a.number == b.number; }
  bool operator()(const costly_key& a, int b) const { return a.number == b; }
};

}  // namespace

TEST(ConcurrentMap, MakesNoKeyForALookupIfHashAndEqualAreTransparent) {
  keys_made = 0;
  concurrent_map<costly_key, std::string, costly_hash, costly_equal> m;
  m.store(1, "one");
  EXPECT_EQ(keys_made, 1);
  EXPECT_EQ(m.load(1), "one");
  EXPECT_FALSE(m.load(2).has_value());
  EXPECT_EQ(m.load_or_store(1, "uno").first, "one");
  EXPECT_FALSE(m.compare_and_swap(1, "uno", "eins"));
  EXPECT_TRUE(m.erase(1));
  EXPECT_EQ(keys_made, 1);
}

TEST(ConcurrentMap, TakesAnythingThatConvertsToAKey) {
  concurrent_map<name, int, hash_of_name> m;
  m.store({"braces"}, 1);
  EXPECT_EQ(m.load({"braces"}), 1);
  concurrent_map<std::int64_t, std::string> numbers;
  numbers.store(1, "one");
  EXPECT_EQ(numbers.load(short{1}), "one");
}

TEST(ConcurrentMap, MovesWhatItIsGiven) {
  concurrent_map<int, std::shared_ptr<int>> m;
  auto value = std::make_shared<int>(1);
  const int* const where = value.get();
  m.store(1, std::move(value));
  EXPECT_EQ(value, nullptr);
  const std::shared_ptr<int> loaded = *m.load(1);
  EXPECT_EQ(loaded.get(), where);
  EXPECT_EQ(loaded.use_count(), 2);
}

// --- code of the user's that throws, or comes back -----------------------------------------------------------------------

namespace {

struct trouble : std::runtime_error {
  trouble() : std::runtime_error("trouble") {}
};

// Throws at the n-th call from now; 0: never.
int calls_to_trouble = 0;
void perhaps_throw() {
  if (calls_to_trouble > 0 && --calls_to_trouble == 0) throw trouble();
}

struct touchy {
  explicit touchy(int n) : number(n) { perhaps_throw(); }
  touchy(const touchy& other) : number(other.number), weight(other.weight) { perhaps_throw(); }
  touchy(touchy&&) noexcept = default;
  bool operator==(const touchy& other) const { return perhaps_throw(), number == other.number; }
  int number;
  counted weight{0};
};
struct touchy_hash {
  std::size_t operator()(const touchy& key) const { return perhaps_throw(), static_cast<std::size_t>(key.number % 7); }
};
using touchy_map = concurrent_map<touchy, touchy, touchy_hash>;

std::map<int, int> numbers_in(const touchy_map& m) {
  std::map<int, int> all;
  m.range([&](const touchy& k, const touchy& v) { return all.emplace(k.number, v.number).second; });
  return all;
}

}  // namespace

TEST(ConcurrentMap, IsAsItWasWhenUserCodeThrows) {
  const int living_before = living;
  using operation = std::function<void(touchy_map&, const touchy& key, const touchy& value)>;
  const std::vector<operation> operations{
      [](auto& m, auto& k, auto&) { static_cast<void>(m.load(k)); },
      [](auto& m, auto& k, auto& v) { m.store(k, v); },
      [](auto& m, auto& k, auto& v) { m.load_or_store(k, v); },
      [](auto& m, auto& k, auto& v) { m.swap(k, v); },
      [](auto& m, auto& k, auto&) { m.load_and_delete(k); },
      [](auto& m, auto& k, auto&) { m.erase(k); },
      [](auto& m, auto& k, auto& v) { m.compare_and_swap(k, v, v); },
      [](auto& m, auto& k, auto& v) { m.compare_and_delete(k, v); },
      [](auto& m, auto& k, auto& v) {
        m.update(k, [&](std::optional<touchy>& it) {
          perhaps_throw();
          it.emplace(v);
        });
      },
      [](auto& m, auto&, auto&) { m.range([](auto&, auto&) { return perhaps_throw(), true; }); },
  };
  for (const int key : {3, 50, 1000}) {
    for (std::size_t which = 0; which < operations.size(); ++which) {
      for (int n = 1;; ++n) {
        SCOPED_TRACE("operation " + std::to_string(which) + ", throws at call " + std::to_string(n));
        touchy_map m;
        for (int i = 0; i < 60; ++i) m.store(touchy(i), touchy(i));
        const std::map<int, int> before = numbers_in(m);
        const touchy k(key);
        const touchy v(key);
        calls_to_trouble = n;
        bool has_thrown = false;
        try {
          operations[which](m, k, v);
        } catch (const trouble&) {
          has_thrown = true;
        }
        calls_to_trouble = 0;
        if (!has_thrown) break;
        EXPECT_EQ(numbers_in(m), before);
        EXPECT_EQ(m.size(), before.size());
        m.store(k, v);  // nothing is still locked
        EXPECT_TRUE(m.erase(k));
      }
    }
  }
  EXPECT_EQ(living, living_before);
}

namespace {

// A value whose every copy and comparison goes into the map that it is in.
struct visitor;
struct visitor_hash;
using visited_map = concurrent_map<int, visitor, visitor_hash>;
visited_map* visited = nullptr;
int depth = 0;
void visit();
void visit_elsewhere();
struct visitor {
  explicit visitor(int n) : number(n) {}
  visitor(const visitor& other) : number(other.number) { visit(); }
  ~visitor() { visit_elsewhere(); }
  visitor& operator=(const visitor&) = delete;
  bool operator==(const visitor& other) const { return visit(), number == other.number; }
  int number;
};
struct visitor_hash {
  std::size_t operator()(int key) const {
    visit();
    return static_cast<std::size_t>(key % 5);
  }
};
void visit() {
  if (visited == nullptr || depth > 0) return;
  ++depth;
  static_cast<void>(visited->load(1));
  visited->store(2, visitor(2));
  visited->update(3, [](std::optional<visitor>& it) { it.emplace(3); });
  visited->erase(4);
  --depth;
}
void visit_elsewhere() {
  if (visited == nullptr || depth > 0) return;
  ++depth;
  visited->store(-1, visitor(-1));
  visited->erase(-2);
  --depth;
}

}  // namespace

TEST(ConcurrentMap, MayBeUsedByWhatItCalls) {
  visited_map m;
  visited = &m;
  depth = 0;  // what throws leaves it as it is
  for (int i = 0; i < 500; ++i) {
    const int k = 1 + i % 100;
    m.store(k, visitor(k));
    EXPECT_EQ(m.load(1).value_or(visitor(1)).number, 1);
    m.load_or_store(k, visitor(k));
    if (k > 4) {
      EXPECT_EQ(m.swap(k, visitor(k))->number, k);
      EXPECT_TRUE(m.compare_and_swap(k, visitor(k), visitor(k)));
    }
    if (k > 4) m.update(k, [&](std::optional<visitor>& it) { it.emplace(k); });
    m.range([&](int key, const visitor& value) { return value.number == key; });
  }
  // To swap 2 is to copy its value, which stores 2, so that there is another value to copy.
  m.store(2, visitor(2));
  EXPECT_THROW(m.swap(2, visitor(2)), std::logic_error);
  m.store(2, visitor(2));
  m.clear();
  visited = nullptr;
}

TEST(ConcurrentMap, RefusesToWriteToAKeyFromItsOwnUpdate) {
  const std::unique_ptr<some_map> m = overwritten_in_nodes.make();
  m->store(1, 1);
  using operation = std::function<void()>;
  const std::vector<operation> all{
      [&] { m->store(1, 5); },
      [&] { m->swap(1, 5); },
      [&] { m->erase(1); },
      [&] { m->load_and_delete(1); },
      [&] { m->compare_and_swap(1, 1, 5); },
      [&] { m->compare_and_delete(1, 1); },
      [&] { m->update(1, [](std::optional<int>&) { ADD_FAILURE() << "must not run"; }); },
      [&] { m->update(2, [&](std::optional<int>&) { m->store(1, 5); }); },
  };
  for (const operation& each : all) {
    m->update(1, [&](std::optional<int>& n) {
      try {
        each();
        ADD_FAILURE() << "was not refused";
      } catch (const std::logic_error& e) {
        EXPECT_STREQ(e.what(),
                     "turnkey::concurrent_map: what is called while a key is written, such as f in update(k, f), "
                     "must not write to it");
      }
      EXPECT_EQ(m->load(1), 1) << "a read is no write";
      EXPECT_EQ(m->load_or_store(1, 9), std::pair(1, true)) << "nor is this one";
      n = 1;
    });
    EXPECT_EQ(m->load(1), 1);
  }
  EXPECT_THROW(m->update(1, [&](std::optional<int>&) { m->store(1, 2); }), std::logic_error);
  m->store(1, 2);
  EXPECT_EQ(m->load(1), 2);
}

TEST(ConcurrentMap, LetsAnUpdateWriteToOtherKeysEvenOfTheSameHash) {
  const std::unique_ptr<some_map> m = in_slots_of_one_bucket.make();
  m->update(1, [&](std::optional<int>& one) {
    m->store(2, 20);
    m->update(3, [&](std::optional<int>& three) {
      m->erase(2);
      EXPECT_THROW(m->store(1, 0), std::logic_error);
      EXPECT_THROW(m->store(3, 0), std::logic_error);
      three = 30;
    });
    EXPECT_EQ(m->load(3), 30);
    m->store(3, 31);
    one = 10;
  });
  EXPECT_EQ(m->load(1), 10);
  EXPECT_FALSE(m->load(2).has_value());
  EXPECT_EQ(m->load(3), 31);
}

TEST(ConcurrentMap, DropsAnUpdateThatAClearOvertakes) {
  const std::unique_ptr<some_map> m = in_slots.make();
  m->store(1, 1);
  m->update(1, [&](std::optional<int>& n) {
    m->clear();
    ++*n;
  });
  EXPECT_EQ(m->size(), 0u);
  m->store(1, 1);
  m->update(1, [&](std::optional<int>& n) {
    m->clear();
    m->store(2, 2);
    ++*n;
  });
  EXPECT_FALSE(m->load(1).has_value());
  EXPECT_EQ(m->load(2), 2);
}

// --- several at once ------------------------------------------------------------------------------------------------------

TEST(ConcurrentMap, MakesWritersOfAKeyWaitForItsUpdateAndNobodyElse) {
  support::run_everywhere([](const stage& where) {
    const std::unique_ptr<some_map> m = overwritten_in_nodes.make();
    m->store(1, 1);
    m->store(2, 1);
    std::atomic<bool> is_inside{false};
    std::atomic<bool> may_end{false};
    support::crew others(where);
    others.start([&] {
      m->update(1, [&](std::optional<int>& n) {
        is_inside = true;
        support::await([&] { return may_end.load(); });
        n = *n + 10;
      });
    });
    support::await([&] { return is_inside.load(); });
    EXPECT_EQ(m->load(1), 1);
    EXPECT_EQ(m->load_or_store(1, 7).first, 1);
    m->store(2, 2);
    std::size_t met = 0;
    m->range([&](int, int) { return ++met, true; });
    EXPECT_EQ(met, 2u);
    std::array<support::watched, 3> waiters;
    std::atomic<int> sum{0};
    others.start(waiters[0], [&] { sum += *m->swap(1, 5); });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] { m->update(3, [&](std::optional<int>& n) { n = 1; }); });
    support::await([&] { return waiters[1].has_left(); });
    others.start(waiters[2], [&] { m->update(1, [&](std::optional<int>& n) { n = 100 + *n; }); });
    EXPECT_TRUE(waiters[2].comes_to_wait());
    may_end = true;
    others.join();
    // The update, then the other two, in either order.
    EXPECT_TRUE((sum == 11 && m->load(1) == 105) || (sum == 111 && m->load(1) == 5)) << sum << ' ' << *m->load(1);
  });
}

namespace {

using numbers = concurrent_map<std::string, int>;
using number_change = std::function<void(std::optional<int>&)>;
struct limited_form {
  const char* name;
  std::function<bool(numbers&, std::string_view, const number_change&)> update;
};

// The forms of update() that end only when they have the key.
std::vector<limited_form> patient_forms() {
  static const std::stop_source nobody_asks;
  return {
      {"for an hour", [](auto& m, auto k, auto& f) { return m.update_for(1h, k, f); }},
      {"for the longest time",
       [](auto& m, auto k, auto& f) { return m.update_for(std::chrono::hours::max(), std::string(k), f); }},
      {"until an hour from now by the wall clock",
       [](auto& m, auto k, auto& f) { return m.update_until(std::chrono::system_clock::now() + 1h, k, f); }},
      {"with a token that can never be stopped",
       [](auto& m, auto k, auto& f) { return m.update(std::stop_token(), k, f); }},
      {"with a token that nobody stops",
       [](auto& m, auto k, auto& f) { return m.update(nobody_asks.get_token(), k, f); }},
  };
}

// Those that try once.
std::vector<limited_form> timed_out_forms() {
  return {
      {"for no time", [](auto& m, auto k, auto& f) { return m.update_for(0s, k, f); }},
      {"for less than no time", [](auto& m, auto k, auto& f) { return m.update_for(-1h, k, f); }},
      {"until the beginning of time",
       [](auto& m, auto k, auto& f) { return m.update_until(std::chrono::steady_clock::time_point(), k, f); }},
  };
}

bool update_stopped_before(numbers& m, std::string_view key, const number_change& f) {
  std::stop_source stopped;
  stopped.request_stop();
  return m.update(stopped.get_token(), key, f);
}

void add_one(std::optional<int>& n) { n = n.value_or(0) + 1; }
void must_not_run(std::optional<int>& /*n*/) { ADD_FAILURE() << "must not run"; }

// Somebody who is in the update() of a key, until its end().
support::somebody_inside slow_update(const stage& where, numbers& m, std::string_view key) {
  return {where, [&m, key](const auto& stay) {
            m.update(key, [&](std::optional<int>& n) {
              stay();
              add_one(n);
            });
          }};
}

}  // namespace

TEST(ConcurrentMap, UpdatesAtOnceInAnyFormIfNobodyElseUpdatesTheKey) {
  support::run_everywhere([](const stage& where) {
    numbers m;
    auto other = slow_update(where, m, "another");
    int n = 0;
    for (const auto& forms : {patient_forms(), timed_out_forms()}) {
      for (const auto& form : forms) {
        EXPECT_TRUE(form.update(m, "one", add_one)) << form.name;
        EXPECT_EQ(m.load("one"), ++n) << form.name;
        EXPECT_TRUE(form.update(m, "two", [](auto& it) { it.reset(); })) << form.name;
        EXPECT_EQ(m.size(), 1U) << form.name;
      }
    }
    EXPECT_FALSE(update_stopped_before(m, "one", must_not_run));
    EXPECT_EQ(m.load("one"), n);
    other.end();
  });
}

TEST(ConcurrentMap, DoesNotCallWhatWouldHaveToWaitTooLongForItsKey) {
  support::run_everywhere([](const stage& where) {
    numbers m;
    m.store("one", 1);
    auto other = slow_update(where, m, "one");
    for (const auto& form : timed_out_forms()) {
      EXPECT_FALSE(form.update(m, "one", must_not_run)) << form.name;
      EXPECT_TRUE(form.update(m, "two", add_one)) << form.name;
    }
    EXPECT_FALSE(m.update_for(1ms, "one", must_not_run));
    EXPECT_FALSE(update_stopped_before(m, "one", must_not_run));
    EXPECT_EQ(m.load("one"), 1);
    other.end();
    EXPECT_EQ(m.load("one"), 2);
    m.store("one", 5);  // nobody is waited for
    EXPECT_TRUE(m.update_for(0s, "one", add_one));
    EXPECT_EQ(m.load("one"), 6);
  });
}

TEST(ConcurrentMap, LetsAnUpdateGiveUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    numbers m;
    std::stop_source stop;
    support::watched caller;
    support::watched writer;
    auto other = slow_update(where, m, "one");
    support::crew others(where);
    others.start(caller, [&] { EXPECT_FALSE(m.update(stop.get_token(), "one", must_not_run)); });
    EXPECT_TRUE(caller.comes_to_wait());
    others.start(writer, [&] { EXPECT_EQ(m.swap("one", 5), 1); });
    EXPECT_TRUE(writer.comes_to_wait());
    stop.request_stop();
    support::await([&] { return caller.has_left(); });
    EXPECT_TRUE(writer.waits());
    other.end();
    others.join();
    EXPECT_EQ(m.load("one"), 5);
  });
}

TEST(ConcurrentMap, UpdatesWhenTheKeyComesFreeInTime) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      numbers m;
      support::watched caller;
      auto other = slow_update(where, m, "one");
      support::crew others(where);
      others.start(caller, [&] { EXPECT_TRUE(form.update(m, "one", [](auto& n) { n = *n + 10; })) << form.name; });
      EXPECT_TRUE(caller.comes_to_wait()) << form.name;
      other.end();
      others.join();
      EXPECT_EQ(m.load("one"), 11) << form.name;
    }
  });
}

TEST(ConcurrentMap, LeavesTheKeyFreeIfAnUpdateOfAnyFormThrows) {
  numbers m;
  m.store("one", 1);
  for (const auto& forms : {patient_forms(), timed_out_forms()}) {
    for (const auto& form : forms) {
      EXPECT_THROW(form.update(m, "one", [](auto&) { throw std::runtime_error("no"); }), std::runtime_error);
      EXPECT_EQ(m.load("one"), 1) << form.name;
      m.update("one", [&](auto&) { EXPECT_THROW(form.update(m, "one", must_not_run), std::logic_error) << form.name; });
    }
  }
  EXPECT_TRUE(m.update_for(0s, "one", add_one));
  EXPECT_EQ(m.load("one"), 2);
}

TEST(ConcurrentMap, LosesNoUpdate) {
  support::run_everywhere([](const stage& where) {
    constexpr int actors = 6;
    constexpr int each = 300;
    constexpr int keys = 5;
    const std::unique_ptr<some_map> flat = in_slots.make();
    const std::unique_ptr<some_map> nodes = in_nodes_of_strings.make();
    {
      support::crew others(where);
      for (int me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(static_cast<std::uint64_t>(me));
          for (int i = 0; i < each; ++i) {
            flat->update(i % keys, [&](std::optional<int>& n) {
              n = n.value_or(0) + 1;
              luck.dawdle();
            });
            nodes->update(i % keys, [](std::optional<int>& n) { n = n.value_or(0) + 1; });
            // An increment of another make.
            for (;;) {
              const int n = flat->load_or_store(i % keys, 0).first;
              if (flat->compare_and_swap(i % keys, n, n + 1)) break;
              luck.dawdle();
            }
            flat->store(1000 + me * each + i, 1);  // grows meanwhile
          }
        });
      }
    }
    for (int k = 0; k < keys; ++k) {
      EXPECT_EQ(flat->load(k), 2 * actors * each / keys);
      EXPECT_EQ(nodes->load(k), actors * each / keys);
    }
    EXPECT_EQ(flat->size(), static_cast<std::size_t>(keys + actors * each));
  });
}

TEST(ConcurrentMap, OrdersWhatWasDoneBeforeAWriteBeforeWhoeverReadsIt) {
  support::run_everywhere([](const stage& where) {
    const std::unique_ptr<some_map> flat = in_slots.make();
    const std::unique_ptr<some_map> nodes = in_nodes.make();
    const std::unique_ptr<some_map> overwritten = overwritten_in_nodes.make();
    overwritten->store(0, -1);
    constexpr int rounds = 50;
    std::array<int, rounds> plain{};
    support::crew others(where);
    others.start([&] {
      for (int i = 0; i < rounds; ++i) {
        plain[static_cast<std::size_t>(i)] = i;
        if (i % 3 == 0) flat->store(i, i);
        if (i % 3 == 1) nodes->store(i, i);
        if (i % 3 == 2) overwritten->store(0, i);
      }
    });
    for (int i = 0; i < rounds; ++i) {
      support::await([&] {
        if (i % 3 == 0) return flat->load(i).has_value();
        if (i % 3 == 1) return nodes->load(i).has_value();
        return *overwritten->load(0) >= i;
      });
      EXPECT_EQ(plain[static_cast<std::size_t>(i)], i);
    }
  });
}

namespace {

// Copies let others run, and so does comparing: a goroutine may go on on another worker in the middle of a load.
struct slow {
  int number = 0;
  slow() = default;
  explicit slow(int n) : number(n) {}
  slow(const slow& other) {
    turnkey::this_goroutine::yield();
    number = other.number;
    turnkey::this_goroutine::yield();
  }
  slow& operator=(const slow&) = default;
  ~slow() { number = -1; }
  bool operator==(const slow& other) const {
    turnkey::this_goroutine::yield();
    return number == other.number;
  }
};
struct slow_hash {
  std::size_t operator()(const slow& key) const { return static_cast<std::size_t>(key.number); }
};

}  // namespace

TEST(ConcurrentMap, KeepsWhatIsBeingCopiedWhileTheCopyWaits) {
  support::run_everywhere([](const stage& where) {
    concurrent_map<slow, slow, slow_hash> m;
    support::crew others(where);
    for (int me = 0; me < 5; ++me) {
      others.start([&, me] {
        for (int i = 0; i < 300; ++i) {
          const int k = (i + me) % 6;
          m.store(slow(k), slow(k + 100));
          if (const auto seen = m.load(slow(k))) {
            EXPECT_EQ(seen->number, k + 100);
          }
          if (i % 7 == 0) m.erase(slow(k));
          if (i % 50 == 0) m.clear();
          m.range([&](const slow& key, const slow& value) {
            EXPECT_EQ(value.number, key.number + 100);
            return i % 10 == 0;
          });
        }
      });
    }
  });
}

TEST(ConcurrentMap, DestroysEachValueOnceNobodyNeedsItAndKeepsFewThatWereReplaced) {
  const int living_before = living;
  support::run_everywhere([&](const stage& where) {
    {
      const std::unique_ptr<some_map> m = in_nodes.make();
      support::crew others(where);
      for (int me = 0; me < 4; ++me) {
        others.start([&] {
          for (int i = 0; i < 4000; ++i) {
            m->store(i % 10, i);
            if (i % 3 == 0) m->erase(i % 10);
          }
        });
      }
      others.join();
      for (int i = 0; i < 2000; ++i) m->store(0, i);
      EXPECT_LT(living, 6'000) << "of 18,000";
    }
    EXPECT_EQ(living, living_before);
  });
}

// --- linearizability --------------------------------------------------------------------------------------------------------

namespace {

// One call, and when it began and ended on a clock that all share.
struct call {
  enum { load, store, load_or_store, swap, load_and_delete, compare_and_swap, compare_and_delete, update, clear } what;
  int key = 0;
  int a = 0;        // stored, expected, or added
  int b = 0;        // stored if expected
  int result = -1;  // the value that it gave, or -1; what a compare_ gave
  bool flag = false;
  int begin = 0;
  int end = 0;
};

constexpr int key_count = 3;
using world = std::array<int, key_count>;  // -1: absent

// Does the call in a world; false if it cannot have given what it gave.
bool happens(const call& it, world& now) {
  int& here = now[static_cast<std::size_t>(it.key)];
  const int before = here;
  switch (it.what) {
    case call::load: return it.result == before;
    case call::store: here = it.a; return true;
    case call::load_or_store:
      if (before < 0) here = it.a;
      return it.flag == (before >= 0) && it.result == here;
    case call::swap: here = it.a; return it.result == before;
    case call::load_and_delete: here = -1; return it.result == before;
    case call::compare_and_swap:
      if (before == it.a) here = it.b;
      return it.flag == (before == it.a);
    case call::compare_and_delete:
      if (before == it.a) here = -1;
      return it.flag == (before == it.a);
    case call::update: here = before < 0 ? it.a : before + it.a; return it.result == before;
    case call::clear: now.fill(-1); return true;
  }
  return false;
}

// Whether there is an order of the calls, each between its begin and its end, in which all gave what they should.
class linearization {
 public:
  explicit linearization(std::vector<call> history) : history_(std::move(history)) {}
  bool exists() {
    world start;
    start.fill(-1);
    return search(0, start);
  }

 private:
  bool search(std::uint32_t done, const world& now) {
    if (done == (std::uint32_t{1} << history_.size()) - 1) return true;
    std::uint64_t seen = done;
    for (const int value : now) seen = seen * 4099 + static_cast<std::uint64_t>(value + 1);
    if (!tried_.insert(seen).second) return false;
    int first_end = 1 << 30;  // whoever began later than somebody ended comes after them
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, history_[i].end);
    }
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if ((done >> i & 1) != 0 || history_[i].begin > first_end) continue;
      world next = now;
      if (happens(history_[i], next) && search(done | std::uint32_t{1} << i, next)) return true;
    }
    return false;
  }
  std::vector<call> history_;
  std::unordered_set<std::uint64_t> tried_;
};

void perform(some_map& m, call& it) {
  const auto or_none = [](const std::optional<int>& value) { return value.value_or(-1); };
  const int k = it.key;
  switch (it.what) {
    case call::load: it.result = or_none(m.load(k)); break;
    case call::store: m.store(k, it.a); break;
    case call::load_or_store: std::tie(it.result, it.flag) = m.load_or_store(k, it.a); break;
    case call::swap: it.result = or_none(m.swap(k, it.a)); break;
    case call::load_and_delete: it.result = or_none(m.load_and_delete(k)); break;
    case call::compare_and_swap: it.flag = m.compare_and_swap(k, it.a, it.b); break;
    case call::compare_and_delete: it.flag = m.compare_and_delete(k, it.a); break;
    case call::update:
      m.update(k, [&](std::optional<int>& n) {
        it.result = or_none(n);
        n = n.value_or(0) + it.a;
      });
      break;
    case call::clear: m.clear(); break;
  }
}

// Histories of a few actors, short enough to be checked completely; so many that all sorts of overlaps occur.
void check_histories(const kind& of) {
  support::run_everywhere([&](const stage& where) {
    constexpr int actors = 3;
    constexpr int calls = 6;
    constexpr int rounds = 120;
    support::start_line line(actors);
    std::vector<std::unique_ptr<some_map>> maps(rounds);
    std::ranges::generate(maps, of.make);
    std::vector<std::vector<call>> histories(rounds, std::vector<call>(std::size_t{actors} * calls));
    std::atomic<int> time{0};
    {
      support::crew others(where);
      for (int me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(static_cast<std::uint64_t>(me) * 77 + 5);
          for (int round = 0; round < rounds; ++round) {
            const auto at = static_cast<std::size_t>(round);
            line.wait();
            for (int i = 0; i < calls; ++i) {
              call& it = histories[at][static_cast<std::size_t>(me) * calls + static_cast<std::size_t>(i)];
              it.what = static_cast<decltype(it.what)>(luck.roll(luck.roll(4) == 0 ? 9 : 8));
              if (luck.roll(3) == 0) it.what = call::load;
              it.key = luck.roll(key_count);
              it.a = luck.roll(3);
              it.b = luck.roll(3);
              it.begin = time.fetch_add(1);
              perform(*maps[at], it);
              it.end = time.fetch_add(1);
              if (luck.roll(4) == 0) luck.dawdle();
            }
            // Fills the table up, so that the next rounds see it grow.
            if (me == 0 && round + 1 < rounds) {
              for (int i = 0; i < round % 70; ++i) maps[at + 1]->store(100 + i, 0);
            }
          }
        });
      }
    }
    for (int round = 0; round < rounds; ++round) {
      const std::vector<call>& history = histories[static_cast<std::size_t>(round)];
      if (linearization(history).exists()) continue;
      std::string text;
      for (const call& it : history) {
        text += "call " + std::to_string(it.what) + " key " + std::to_string(it.key) + " (" + std::to_string(it.a) +
                ", " + std::to_string(it.b) + ") gave " + std::to_string(it.result) + (it.flag ? " true" : " false") +
                " [" + std::to_string(it.begin) + ", " + std::to_string(it.end) + "]\n";
      }
      ADD_FAILURE() << "no order explains round " << round << "\n" << text;
      return;
    }
  });
}

}  // namespace

TEST(ConcurrentMap, KnowsAHistoryThatNoOrderExplains) {
  const call stored{.what = call::store, .a = 1, .begin = 0, .end = 1};
  const call seen{.what = call::load, .result = 1, .begin = 2, .end = 3};
  const call missed{.what = call::load, .result = -1, .begin = 4, .end = 5};
  EXPECT_TRUE(linearization({stored, seen}).exists());
  EXPECT_FALSE(linearization({stored, seen, missed}).exists());
  call late = stored;
  late.end = 9;
  EXPECT_FALSE(linearization({late, seen, missed}).exists());
  EXPECT_TRUE(linearization({late, missed}).exists());
}

TEST(ConcurrentMap, IsLinearizableWithEntriesInTheTable) { check_histories(in_slots); }
TEST(ConcurrentMap, IsLinearizableWithEntriesInNodes) { check_histories(in_nodes); }
TEST(ConcurrentMap, IsLinearizableWithValuesOverwrittenInNodes) { check_histories(overwritten_in_nodes); }
TEST(ConcurrentMap, IsLinearizableWithKeysThatShareABucket) { check_histories(in_slots_of_one_bucket); }
