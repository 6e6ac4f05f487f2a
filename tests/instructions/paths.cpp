// The fast paths whose instructions check.py has callgrind count, one after the other. For each the counters are set to zero, the
// path is taken n times, and they are written down; then the same with 2n times. The difference is n times the path, without
// what comes before and after it. All of it several times over: what a timer or the monitor adds, it adds to some only.
// check.py sets TURNKEY_MAXPROCS=1, so that nothing else runs meanwhile. It runs this twice: TURNKEY_LOCK_ORDER has paths of its own.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <turnkey/turnkey.hpp>
#include <type_traits>
#include <unordered_map>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS  // without valgrind nobody asks
#define CALLGRIND_DUMP_STATS_AT(text) static_cast<void>(text)
#endif

namespace {

// Makes the compiler believe that all memory was read and written here.
void touch_memory() { asm volatile("" : : : "memory"); }
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r"(value) : "memory");
}

template <class F>
void times(int count, F&& f) {
  for (int i = 0; i < count; ++i) {
    f();
    touch_memory();
  }
}

// ---- on a thread ---------------------------------------------------------------------------------------------------

template <class Mutex>
[[clang::no_thread_safety_analysis]] void lock_unlock(int count) {
  Mutex mu;
  times(count, [&] {
    mu.lock();
    mu.unlock();
  });
}

[[clang::no_thread_safety_analysis]] void nested(int count) {
  turnkey::mutex outer;
  turnkey::mutex inner;
  times(count, [&] {
    outer.lock();
    inner.lock();
    inner.unlock();
    outer.unlock();
  });
}

[[clang::no_thread_safety_analysis]] void try_lock_unlock(int count) {
  turnkey::mutex mu;
  times(count, [&] {
    if (mu.try_lock()) mu.unlock();
  });
}

[[clang::no_thread_safety_analysis]] void try_lock_of_locked(int count) {
  turnkey::mutex mu;
  mu.lock();
  times(count, [&] { keep(mu.try_lock()); });
  mu.unlock();
}

[[clang::no_thread_safety_analysis]] void read_lock_unlock(int count) {
  turnkey::rw_mutex mu;
  times(count, [&] {
    mu.lock_shared();
    mu.unlock_shared();
  });
}

void add_done(int count) {
  turnkey::wait_group group;
  times(count, [&] {
    group.add();
    group.done();
  });
}

void call_when_done(int count) {
  turnkey::once once;
  times(count, [&] { once.call([] {}); });
}

void acquire_release(int count) {
  turnkey::semaphore semaphore(4);
  times(count, [&] {
    semaphore.acquire();
    semaphore.release();
  });
}

void counter_add(int count) {
  turnkey::counter counter;
  times(count, [&] { counter.add(1); });
}

void snapshot_load(int count) {
  turnkey::snapshot<int> data(1);
  times(count, [&] { keep(*data.load()); });
}

constexpr int keys = 1000;

template <class Map>
Map& filled() {
  static Map map;
  if (map.empty()) {
    for (int i = 0; i < keys; ++i) map[i] = i;
  }
  return map;
}

turnkey::concurrent_map<int, int>& filled_concurrent() {
  static turnkey::concurrent_map<int, int> map;
  if (map.size() == 0) {
    for (int i = 0; i < keys; ++i) map.store(i, i);
  }
  return map;
}

void map_load(int count) {
  auto& map = filled_concurrent();
  int key = 0;
  times(count, [&] { keep(map.load(key++ % keys).value_or(0)); });
}

void map_store(int count) {
  auto& map = filled_concurrent();
  int key = 0;
  times(count, [&] { map.store(key++ % keys, 1); });
}

template <class Map>
void find(int count) {
  Map& map = filled<Map>();
  int key = 0;
  times(count, [&] { keep(map.find(key++ % keys)->second); });
}

template <class Map>
void increment(int count) {
  Map& map = filled<Map>();
  int key = 0;
  times(count, [&] { ++map[key++ % keys]; });
}

// From one element to the next.
template <class Map>
void walk(int count) {
  Map& map = filled<Map>();
  int sum = 0;
  for (int left = count; left > 0;) {
    for (const auto& [key, value] : map) {
      sum += value;
      if (--left == 0) break;
    }
  }
  keep(sum);
}

template <class Map>
void insert_erase(int count) {
  Map& map = filled<Map>();
  times(count, [&] {
    map.try_emplace(keys, 1);
    map.erase(keys);
  });
}

// All of these, and each as often: every element is added, counted, looked up, passed by, and erased.
template <class Map>
void all_of_it(int count) {
  static const std::vector<typename Map::key_type> batch = [] {
    std::vector<typename Map::key_type> made;
    for (int i = 0; i < 100; ++i) {
      if constexpr (std::is_same_v<typename Map::key_type, int>) {
        made.push_back(i);
      } else {
        made.push_back("a key of 20 chars " + std::to_string(10 + i % 90) +
                       std::string(static_cast<std::size_t>(i / 90), '+'));
      }
    }
    return made;
  }();
  static Map map;
  for (int left = count; left > 0; left -= static_cast<int>(batch.size())) {
    int sum = 0;
    for (const auto& key : batch) map.try_emplace(key, 1);
    for (const auto& key : batch) ++map[key];
    for (const auto& key : batch) sum += map.find(key)->second;
    for (const auto& [key, value] : map) sum += value;
    for (const auto& key : batch) map.erase(key);
    keep(sum);
  }
}

// ---- in a goroutine ------------------------------------------------------------------------------------------------

void buffered_send_recv(int count) {
  const auto buffer = turnkey::make_chan<int>(4);
  times(count, [&] {
    buffer.send(1);
    keep(buffer.recv().value_or(0));
  });
}

void round_trip(int count) {
  const auto there = turnkey::make_chan<int>();
  const auto back = turnkey::make_chan<int>();
  turnkey::go([=] {
    for (const int v : there) back.send(v);
  });
  times(count, [&] {
    there.send(1);
    keep(back.recv().value_or(0));
  });
  there.close();
}

void select_nothing(int count) {
  const auto a = turnkey::make_chan<int>(1);
  const auto b = turnkey::make_chan<int>(1);
  times(count, [&] {
    turnkey::select(turnkey::on_recv(a, [](std::optional<int>) {}), turnkey::on_recv(b, [](std::optional<int>) {}),
                    turnkey::otherwise([] {}));
  });
}

void select_what_is_there(int count) {
  const auto a = turnkey::make_chan<int>(1);
  const auto b = turnkey::make_chan<int>(1);
  times(count, [&] {
    a.send(1);
    turnkey::select(turnkey::on_recv(a, [](std::optional<int> v) { keep(v.value_or(0)); }),
                    turnkey::on_recv(b, [](std::optional<int>) {}));
  });
}

void start_and_wait(int count) {
  constexpr int batch = 100;
  times(count / batch, [] {
    turnkey::wait_group all;
    for (int i = 0; i < batch; ++i) all.go([] {});
    all.wait();
  });
}

void yield_to_another(int count) {
  turnkey::wait_group both;
  const auto yields = [count] { times(count / 2, turnkey::this_goroutine::yield); };
  both.go(yields);
  both.go(yields);
  both.wait();
}

// ---- all of them ---------------------------------------------------------------------------------------------------

struct path {
  const char* name;
  int count;
  void (*take)(int count);
};

using checked_map = turnkey::checked_map<int, int>;
using map_beneath = std::unordered_map<int, int>;
using checked_map_of_strings = turnkey::checked_map<std::string, int>;
using map_of_strings_beneath = std::unordered_map<std::string, int>;

constexpr std::array on_a_thread{
    path{"mutex.lock_unlock", 4000, lock_unlock<turnkey::mutex>},
    path{"mutex.try_lock_unlock", 4000, try_lock_unlock},
    path{"mutex.try_lock_of_locked", 4000, try_lock_of_locked},
    path{"rw_mutex.lock_unlock", 4000, lock_unlock<turnkey::rw_mutex>},
    path{"rw_mutex.lock_shared_unlock_shared", 4000, read_lock_unlock},
    path{"wait_group.add_done", 4000, add_done},
    path{"once.call_when_done", 4000, call_when_done},
    path{"semaphore.acquire_release", 4000, acquire_release},
    path{"counter.add", 4000, counter_add},
    path{"snapshot.load", 4000, snapshot_load},
    path{"concurrent_map.load", 4000, map_load},
    path{"concurrent_map.store", 4000, map_store},
    path{"checked_map.find", 4000, find<checked_map>},
    path{"checked_map.find/beneath", 4000, find<map_beneath>},
    path{"checked_map.increment", 4000, increment<checked_map>},
    path{"checked_map.increment/beneath", 4000, increment<map_beneath>},
    path{"checked_map.walk", 4000, walk<checked_map>},
    path{"checked_map.walk/beneath", 4000, walk<map_beneath>},
    path{"checked_map.insert_erase", 4000, insert_erase<checked_map>},
    path{"checked_map.insert_erase/beneath", 4000, insert_erase<map_beneath>},
    path{"checked_map.all", 4000, all_of_it<checked_map>},
    path{"checked_map.all/beneath", 4000, all_of_it<map_beneath>},
    path{"checked_map.all_with_strings", 4000, all_of_it<checked_map_of_strings>},
    path{"checked_map.all_with_strings/beneath", 4000, all_of_it<map_of_strings_beneath>},
};

// With TURNKEY_LOCK_ORDER=1, and then nothing else.
constexpr std::array watched{
    path{"lock_order.mutex.lock_unlock", 4000, lock_unlock<turnkey::mutex>},
    path{"lock_order.two_nested_mutexes", 4000, nested},
};

constexpr std::array in_a_goroutine{
    path{"goroutine.mutex.lock_unlock", 4000, lock_unlock<turnkey::mutex>},
    path{"goroutine.rw_mutex.lock_shared_unlock_shared", 4000, read_lock_unlock},
    path{"chan.buffered_send_recv", 4000, buffered_send_recv},
    path{"chan.unbuffered_round_trip", 4000, round_trip},
    path{"select.nothing_ready", 4000, select_nothing},
    path{"select.send_and_recv", 4000, select_what_is_there},
    path{"go.start_and_wait", 20000, start_and_wait},
    path{"go.yield", 8000, yield_to_another},
};

constexpr int attempts = 5;

void count_instructions(const path& one) {
  for (int attempt = 1; attempt <= attempts; ++attempt) {
    for (const int factor : {1, 2}) {
      std::array<char, 96> label{};
      std::snprintf(label.data(), label.size(), "%s %d %d %d", one.name, one.count, factor, attempt);
      // Once before it counts: what happens the first time only; and writing down takes so long that the monitor has taken
      // this worker for a stuck one, and must see that it is not.
      one.take(one.count);
      CALLGRIND_ZERO_STATS;
      one.take(factor * one.count);
      CALLGRIND_DUMP_STATS_AT(label.data());
    }
  }
}

}  // namespace

int main() {
  if (std::getenv("TURNKEY_LOCK_ORDER") != nullptr) {
    for (const path& each : watched) count_instructions(each);
    return 0;
  }
  for (const path& each : on_a_thread) count_instructions(each);
  turnkey::wait_group done;
  done.go([] {
    for (const path& each : in_a_goroutine) count_instructions(each);
  });
  done.wait();
}
