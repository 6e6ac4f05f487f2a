// P13: how much does a map of a million entries take, 95 % loads and 5 % stores?    turnkey, std, TBB, Go
// C4:  which one for the same work: a lock, or what was made for it?                turnkey, std
//
// Each measurement lets threads (goroutines in Go) do as they like for a fixed time, and counts their operations. They take
// their keys at random from those that are in the map. P13 has ints, and strings of 20 characters, which are too long to lie in
// the std::string itself; what is called map under a lock is std::unordered_map, as is the floor, which has none. C4 has a
// number that all add to, a configuration that hardly ever changes, and a table of counts that are read as often as they grow; and
// what a single addition to the one and a look at the other takes.
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <turnkey/concurrent_map.hpp>
#include <turnkey/counter.hpp>
#include <turnkey/guarded.hpp>
#include <turnkey/snapshot.hpp>
#include <unordered_map>

#ifdef TURNKEY_BENCH_HAS_TBB
#include <tbb/concurrent_hash_map.h>
#endif

#include "crowd.hpp"

namespace {

using namespace bench;

// ---- P13 -----------------------------------------------------------------------------------------------------------

constexpr std::size_t entries = 1'000'000;
constexpr unsigned stores = 50;  // of a thousand operations

// The keys of P13, by number.
template <class Key>
struct keys;

template <>
struct keys<int> {
  static int at(std::size_t i) { return static_cast<int>(i); }
};

template <>
struct keys<std::string> {
  static const std::string& at(std::size_t i) {
    static const std::vector<std::string> all = make();
    return all[i];
  }
  static std::vector<std::string> make() {
    std::vector<std::string> all;
    all.reserve(entries);
    for (std::size_t i = 0; i < entries; ++i) {
      std::array<char, 32> text{};
      std::snprintf(text.data(), text.size(), "key-%016zu", i);
      all.emplace_back(text.data());
    }
    return all;
  }
};

template <class Key>
struct turnkey_map {
  turnkey::concurrent_map<Key, int> all;
  int load(const Key& key) { return all.load(key).value_or(0); }
  void store(const Key& key, int value) { all.store(key, value); }
};

template <class Key, class Mutex, class ReadLock>
struct locked_map {
  Mutex mu;
  std::unordered_map<Key, int> all;
  int load(const Key& key) {
    const ReadLock hold(mu);
    const auto found = all.find(key);
    return found != all.end() ? found->second : 0;
  }
  void store(const Key& key, int value) {
    const std::scoped_lock hold(mu);
    all[key] = value;
  }
};
template <class Key>
using mutex_map = locked_map<Key, std::mutex, std::unique_lock<std::mutex>>;
template <class Key>
using shared_mutex_map = locked_map<Key, std::shared_mutex, std::shared_lock<std::shared_mutex>>;

#ifdef TURNKEY_BENCH_HAS_TBB
template <class Key>
struct tbb_map {
  using table = tbb::concurrent_hash_map<Key, int>;
  table all;
  int load(const Key& key) {
    typename table::const_accessor found;
    return all.find(found, key) ? found->second : 0;
  }
  void store(const Key& key, int value) {
    typename table::accessor found;
    all.insert(found, key);
    found->second = value;
  }
};
#endif

// Filled once, for all measurements.
template <class Map, class Key>
Map& filled() {
  static const std::unique_ptr<Map> map = [] {
    auto made = std::make_unique<Map>();
    for (std::size_t i = 0; i < entries; ++i) made->store(keys<Key>::at(i), static_cast<int>(i));
    return made;
  }();
  return *map;
}

template <template <class> class Map, class Key>
sample loads_and_stores(int threads) {
  Map<Key>& map = filled<Map<Key>, Key>();
  return throughput<thread_group>(threads, current_settings().duration, [&map](std::uint64_t random) {
    const auto& key = keys<Key>::at(index_below(entries, random));
    if (!is_one_of_a_thousand(random, stores)) return static_cast<std::uint64_t>(map.load(key));
    map.store(key, static_cast<int>(random >> 40));
    return std::uint64_t{0};
  });
}

// For who only loads.
template <class Key>
using map_without_lock = locked_map<Key, no_lock, std::unique_lock<no_lock>>;

template <class Key>
sample loads_alone(int threads) {
  map_without_lock<Key>& map = filled<map_without_lock<Key>, Key>();
  return throughput<thread_group>(threads, current_settings().duration, [&map](std::uint64_t random) {
    return static_cast<std::uint64_t>(map.load(keys<Key>::at(index_below(entries, random))));
  });
}

template <class Key>
contender tbb_contender([[maybe_unused]] int threads) {
  contender one{"tbb::concurrent_hash_map", side::other, nullptr};
#ifdef TURNKEY_BENCH_HAS_TBB
  one.measure = [=] { return loads_and_stores<tbb_map, Key>(threads); };
#endif
  return one;
}

template <class Key>
void add_map(suite& all, const std::string& kind, int threads) {
  const std::int64_t has_texts = std::is_same_v<Key, std::string> ? 1 : 0;
  all.add({.id = "P13." + kind + "." + std::to_string(threads),
           .question = "a map of 1,000,000 entries, 95 % loads, 5 % stores: " + kind + " keys, " +
                       std::to_string(threads) + " threads",
           .unit = "M/s",
           .is_more_better = true,
           .goals = {{goal::relation::at_least, 1.8, side::other}},
           .contenders = {
               {"turnkey::concurrent_map", side::ours, [=] { return loads_and_stores<turnkey_map, Key>(threads); }},
               {"std::mutex + map", side::standard, [=] { return loads_and_stores<mutex_map, Key>(threads); }},
               {"std::shared_mutex + map", side::standard,
                [=] { return loads_and_stores<shared_mutex_map, Key>(threads); }},
               tbb_contender<Key>(threads),
               go_peer("sync.Map", "sync_map", {has_texts, threads, stores, current_settings().duration.count()}),
               {"floor: map, loads only, no lock", side::floor, [=] { return loads_alone<Key>(threads); }}}});
}

const registration big_map([](suite& all) {
  for (const int threads : {2, 8}) add_map<int>(all, "int", threads);
  for (const int threads : {2, 8}) add_map<std::string>(all, "string", threads);
});

// ---- C4 ------------------------------------------------------------------------------------------------------------

constexpr int crowd = 8;

// Each of these is made anew for each measurement; `operate` is told which one, and a random number.
template <class Thing>
sample used_by_a_crowd(std::uint64_t (*operate)(Thing& thing, std::uint64_t random)) {
  const auto thing = std::make_unique<apart<Thing>>();
  return throughput<thread_group>(crowd, current_settings().duration,
                                  [&](std::uint64_t random) { return operate(thing->value, random); });
}

// All that follow do the same under the names that the contenders give it.
template <class Mutex>
struct locked_number {
  Mutex mu;
  std::uint64_t value = 0;
};

template <class Mutex>
sample count_under_lock() {
  return used_by_a_crowd<locked_number<Mutex>>([](locked_number<Mutex>& n, std::uint64_t) {
    const std::scoped_lock hold(n.mu);
    return ++n.value;
  });
}

sample count_with_atomic() {
  return used_by_a_crowd<std::atomic<std::uint64_t>>(
      [](std::atomic<std::uint64_t>& n, std::uint64_t) { return n.fetch_add(1, std::memory_order_relaxed); });
}

sample count_with_counter() {
  return used_by_a_crowd<turnkey::counter>([](turnkey::counter& n, std::uint64_t) {
    ++n;
    return std::uint64_t{0};
  });
}

const registration counting([](suite& all) {
  all.add({.id = "C4.count",
           .question = "which one: a number that 8 threads add 1 to",
           .unit = "M/s",
           .is_more_better = true,
           .contenders = {{"turnkey::mutex", side::ours, count_under_lock<turnkey::mutex>},
                          {"turnkey::rw_mutex", side::ours, count_under_lock<turnkey::rw_mutex>},
                          {"turnkey::counter", side::ours, count_with_counter},
                          {"std::mutex", side::standard, count_under_lock<std::mutex>},
                          {"std::atomic", side::standard, count_with_atomic}}});
});

// Nanoseconds for each of the additions that two threads do on a CPU each, as fast as they can.
template <class Number>
sample add_from_two() {
  constexpr int threads = 2;
  constexpr std::int64_t additions = 4'000'000;
  const auto number = std::make_unique<apart<Number>>();
  std::atomic<int> missing{threads};
  std::array<double, threads> each{};
  thread_group all;
  for (int i = 0; i < threads; ++i) {
    all.go([&, i] {
      pin_thread_always(i);
      --missing;
      while (missing.load() > 0) std::this_thread::yield();
      each[static_cast<std::size_t>(i)] = time_each(additions, [&] { ++number->value; });
    });
  }
  all.wait();
  return {(each[0] + each[1]) / threads};
}

// One that nobody shares: what an addition in memory takes.
struct number_of_one {
  void operator++() {
    thread_local std::uint64_t value = 0;
    ++value;
    touch_memory();
  }
};

const registration adding([](suite& all) {
  all.add({.id = "C4.add",
           .question = "which one: a number that 2 threads, each on its CPU, add 1 to all the time",
           .unit = "ns",
           .goals = {{goal::relation::at_most, 0.2, side::standard}},
           .contenders = {{"turnkey::counter", side::ours, add_from_two<turnkey::counter>},
                          {"std::atomic", side::standard, add_from_two<std::atomic<std::uint64_t>>},
                          {"floor: a number each", side::floor, add_from_two<number_of_one>}}});
});

// A configuration, of which readers want two parts that belong together.
struct limits {
  std::uint64_t connections = 100;
  std::uint64_t bytes = 1 << 20;
  std::array<std::uint64_t, 6> rest{};
};

std::uint64_t use(const limits& now) { return now.connections + now.bytes; }
void change(limits& now) {
  ++now.connections;
  ++now.bytes;
}

constexpr unsigned changes = 1;  // of a thousand operations

template <class Mutex>
struct locked_limits {
  Mutex mu;
  limits now;
};

template <class Mutex, class ReadLock>
sample config_under_lock() {
  return used_by_a_crowd<locked_limits<Mutex>>([](locked_limits<Mutex>& config, std::uint64_t random) {
    if (!is_one_of_a_thousand(random, changes)) {
      const ReadLock hold(config.mu);
      return use(config.now);
    }
    const std::scoped_lock hold(config.mu);
    change(config.now);
    return std::uint64_t{0};
  });
}

template <class Mutex>
sample config_in_guarded() {
  using config_type = turnkey::guarded<limits, Mutex>;
  return used_by_a_crowd<config_type>([](config_type& config, std::uint64_t random) {
    if (!is_one_of_a_thousand(random, changes)) return config.read(use);
    config.with(change);
    return std::uint64_t{0};
  });
}

sample config_in_snapshot() {
  using config_type = turnkey::snapshot<limits>;
  return used_by_a_crowd<config_type>([](config_type& config, std::uint64_t random) {
    if (!is_one_of_a_thousand(random, changes)) return use(*config.load());
    config.update(change);
    return std::uint64_t{0};
  });
}

sample load_snapshot() {
  static apart<turnkey::snapshot<limits>> config;
  return {time_each(2'000'000, [] { keep(use(*config.value.load())); })};
}

// libstdc++'s takes a lock for it, which it finds by the pointer's address.
sample load_shared_pointer() {
  static apart<std::atomic<std::shared_ptr<const limits>>> config{std::make_shared<const limits>()};
  return {time_each(2'000'000, [] { keep(use(*config.value.load())); })};
}

const registration loading([](suite& all) {
  all.add({.id = "C4.load",
           .question = "which one: to look at a configuration that does not change just now",
           .unit = "ns",
           .goals = {{goal::relation::at_most, 10, side::ours}},
           .contenders = {{"turnkey::snapshot", side::ours, load_snapshot},
                          {"std::atomic<std::shared_ptr>", side::standard, load_shared_pointer}}});
});

const registration configuring([](suite& all) {
  all.add(
      {.id = "C4.config",
       .question = "which one: a configuration that 8 threads read, every thousandth time change",
       .unit = "M/s",
       .is_more_better = true,
       .contenders = {
           {"turnkey::mutex", side::ours, config_under_lock<turnkey::mutex, std::unique_lock<turnkey::mutex>>},
           {"turnkey::rw_mutex", side::ours, config_under_lock<turnkey::rw_mutex, std::shared_lock<turnkey::rw_mutex>>},
           {"turnkey::guarded", side::ours, config_in_guarded<turnkey::mutex>},
           {"turnkey::guarded, rw_mutex", side::ours, config_in_guarded<turnkey::rw_mutex>},
           {"turnkey::snapshot", side::ours, config_in_snapshot},
           {"std::shared_mutex", side::standard,
            config_under_lock<std::shared_mutex, std::shared_lock<std::shared_mutex>>}}});
});

constexpr int names = 1000;
constexpr unsigned increments = 500;  // of a thousand operations

template <class Mutex>
struct locked_counts {
  Mutex mu;
  std::unordered_map<int, std::uint64_t> all;
};

template <class Mutex, class ReadLock>
sample table_under_lock() {
  return used_by_a_crowd<locked_counts<Mutex>>([](locked_counts<Mutex>& counts, std::uint64_t random) {
    const int name = static_cast<int>(index_below(names, random));
    if (is_one_of_a_thousand(random, increments)) {
      const std::scoped_lock hold(counts.mu);
      return ++counts.all[name];
    }
    const ReadLock hold(counts.mu);
    const auto found = counts.all.find(name);
    return found != counts.all.end() ? found->second : 0;
  });
}

sample table_in_concurrent_map() {
  using table = turnkey::concurrent_map<int, std::uint64_t>;
  return used_by_a_crowd<table>([](table& counts, std::uint64_t random) {
    const int name = static_cast<int>(index_below(names, random));
    if (!is_one_of_a_thousand(random, increments)) return counts.load(name).value_or(0);
    counts.update(name, [](std::optional<std::uint64_t>& n) { n = n.value_or(0) + 1; });
    return std::uint64_t{0};
  });
}

const registration tabulating([](suite& all) {
  all.add({.id = "C4.table",
           .question = "which one: a table of 1,000 counts that 8 threads read and add 1 to, half and half",
           .unit = "M/s",
           .is_more_better = true,
           .contenders = {
               {"turnkey::mutex + map", side::ours, table_under_lock<turnkey::mutex, std::unique_lock<turnkey::mutex>>},
               {"turnkey::rw_mutex + map", side::ours,
                table_under_lock<turnkey::rw_mutex, std::shared_lock<turnkey::rw_mutex>>},
               {"turnkey::concurrent_map", side::ours, table_in_concurrent_map},
               {"std::mutex + map", side::standard, table_under_lock<std::mutex, std::unique_lock<std::mutex>>},
               {"std::shared_mutex + map", side::standard,
                table_under_lock<std::shared_mutex, std::shared_lock<std::shared_mutex>>}}});
});

}  // namespace
