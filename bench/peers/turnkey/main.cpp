// What of ours needs a process of its own: because it is measured by what the process then has, or because it is about what the
// environment says when a process starts. Each run measures one workload, once:
//
//   turnkey_peer parked GOROUTINES         nanoseconds, and bytes, for each of so many goroutines that wait
//   turnkey_peer yield GOROUTINES TIMES    nanoseconds for each yield of so many that yield so many times each
//   turnkey_peer mutex                     nanoseconds of lock and unlock
//   turnkey_peer read_lock                 the same of lock_shared and unlock_shared
//   turnkey_peer nested ENTRIES            the same of two mutexes, one inside the other, around look-ups in a map of so many
//   turnkey_peer contended GOROUTINES MS   millions a second, so many for so long on one mutex
//   turnkey_peer crowd GOROUTINES TIMES    milliseconds until so many have locked one mutex so many times each
//
// and prints one line: {"value":2400.0,"figures":[4287.0]}, as the others in peers/ do.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <turnkey/turnkey.hpp>
#include <unordered_map>
#include <vector>

#include "bench.hpp"

namespace {

using bench::apart;
using bench::touch_memory;

void print(double value) { std::printf("{\"value\":%f,\"figures\":[]}\n", value); }

double resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "re");
  long pages = 0;
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) std::abort();
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void parked(int goroutines) {
  const auto never = turnkey::make_chan<int>();
  const auto start_all = [&](int count) {
    turnkey::wait_group about_to_wait;
    about_to_wait.add(count);
    for (int i = 0; i < count; ++i) {
      turnkey::go([&] {
        about_to_wait.done();
        never.recv();
      });
    }
    about_to_wait.wait();
  };
  start_all(1000);
  turnkey::wait_group measured;
  measured.go([&] {
    const double before = resident_bytes();
    const auto start = bench::clock::now();
    start_all(goroutines);
    const double elapsed = bench::nanoseconds_since(start);
    std::printf("{\"value\":%f,\"figures\":[%f]}\n", elapsed / goroutines, (resident_bytes() - before) / goroutines);
  });
  measured.wait();
  std::fflush(stdout);
  _exit(0);  // to give back all that memory properly takes longer than the measurement
}

// S2: nanoseconds for each yield of so many that are let go at once, when all have their stacks.
void yield_together(int goroutines, int times) {
  turnkey::wait_group measured;
  measured.go([=] {
    turnkey::wait_group about_to_wait;
    turnkey::wait_group opened;
    turnkey::wait_group all;
    about_to_wait.add(goroutines);
    opened.add();
    for (int i = 0; i < goroutines; ++i) {
      all.go([&] {
        about_to_wait.done();
        opened.wait();
        for (int k = 0; k < times; ++k) turnkey::this_goroutine::yield();
      });
    }
    about_to_wait.wait();
    const auto start = bench::clock::now();
    opened.done();
    all.wait();
    print(bench::nanoseconds_since(start) / goroutines / times);
  });
  measured.wait();
  std::fflush(stdout);
  _exit(0);
}

// The least of five measurements: there is one in a process, and what disturbs it makes it longer only.
template <class F>
void print_time_of(F f) {
  print(bench::in_goroutine([&] {
    double least = bench::time_each(100'000, f);
    for (int i = 0; i < 5; ++i) least = std::min(least, bench::time_each(1'000'000, f));
    return least;
  }));
}

void mutex() {
  static apart<turnkey::mutex> mu;
  print_time_of([] {
    const std::scoped_lock hold(mu.value);
    touch_memory();
  });
}

void read_lock() {
  static apart<turnkey::rw_mutex> mu;
  print_time_of([] {
    const std::shared_lock hold(mu.value);
    touch_memory();
  });
}

// Two locks, the one inside the other, each around a look-up in a map of so many entries; without entries, around nothing.
void nested(int entries) {
  static apart<turnkey::mutex> outer;
  static apart<turnkey::mutex> inner;
  std::unordered_map<std::uint64_t, std::uint64_t> map;
  for (int i = 0; i < entries; ++i) map[static_cast<std::uint64_t>(i)] = static_cast<std::uint64_t>(i);
  const auto look_up = [&map](std::uint64_t random) {
    if (map.empty()) return touch_memory();
    bench::keep(map.find((random >> 20) % map.size())->second);
  };
  std::uint64_t random = 1;
  print_time_of([&] {
    random = random * 0x5851f42d4c957f2d + 1;
    const std::scoped_lock hold(outer.value);
    look_up(random);
    const std::scoped_lock hold_inner(inner.value);
    look_up(random << 16);
  });
}

void contended(int goroutines, int milliseconds) {
  static apart<turnkey::mutex> mu;
  std::atomic<bool> is_over{false};
  std::atomic<std::int64_t> all{0};
  turnkey::wait_group group;
  const auto start = bench::clock::now();
  for (int i = 0; i < goroutines; ++i) {
    group.go([&] {
      std::int64_t mine = 0;
      std::uint64_t work = 1;
      while (!is_over.load(std::memory_order_relaxed)) {
        {
          const std::scoped_lock hold(mu.value);
          touch_memory();
        }
        for (int k = 0; k < 20; ++k) work = work * 0x9e3779b97f4a7c15 + 1;
        bench::keep(work);
        ++mine;
      }
      all += mine;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  is_over = true;
  group.wait();
  print(static_cast<double>(all) / bench::nanoseconds_since(start) * 1e3);
}

void crowd(int goroutines, int times) {
  static apart<turnkey::mutex> mu;
  const auto run = [&] {
    turnkey::wait_group all;
    const auto start = bench::clock::now();
    for (int i = 0; i < goroutines; ++i) {
      all.go([&] {
        for (int k = 0; k < times; ++k) {
          const std::scoped_lock hold(mu.value);
          touch_memory();
        }
      });
    }
    all.wait();
    return bench::nanoseconds_since(start) / 1e6;
  };
  print(bench::in_goroutine([&] {
    double least = run();
    for (int i = 0; i < 5; ++i) least = std::min(least, run());
    return least;
  }));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string workload = words.empty() ? "" : words[0];
  const auto number = [&](std::size_t i) { return i < words.size() ? std::atoi(words[i].c_str()) : 0; };
  if (words.size() == 2 && workload == "parked") {
    parked(number(1));
  } else if (words.size() == 3 && workload == "yield") {
    yield_together(number(1), number(2));
  } else if (words.size() == 1 && workload == "mutex") {
    mutex();
  } else if (words.size() == 1 && workload == "read_lock") {
    read_lock();
  } else if (words.size() == 2 && workload == "nested") {
    nested(number(1));
  } else if (words.size() == 3 && workload == "contended") {
    contended(number(1), number(2));
  } else if (words.size() == 3 && workload == "crowd") {
    crowd(number(1), number(2));
  } else {
    std::fprintf(stderr,
                 "usage: turnkey_peer parked N | yield N TIMES | mutex | read_lock | nested ENTRIES | contended N MS | "
                 "crowd N TIMES\n");
    return 2;
  }
}
