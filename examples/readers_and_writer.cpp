// S5: one writer and four readers of a map, under an rw_mutex.
//
// In Go: writeLoop takes `mu.Lock()` for each key, four readLoops range over the map under `mu.RLock()`, and the program
// runs until it is killed. This one ends when the writer is through, and keeps a record of who met whom inside.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <turnkey/turnkey.hpp>

namespace {

using clock = std::chrono::steady_clock;
constexpr int rounds = 50;
constexpr int keys = 100;

turnkey::rw_mutex mu;  // guards table
std::map<int, int> table;

// The record. Atomic, because the readers keep it side by side.
std::atomic<int> readers_inside{0};
std::atomic<int> most_readers{0};
std::atomic<int> readings{0};
std::atomic<int> readings_disturbed{0};
std::atomic<bool> writer_is_through{false};

int sum_of_table() {
  int sum = 0;
  for (const auto& [key, value] : table) sum += value;
  return sum;
}

void read_loop() {
  while (!writer_is_through) {
    const std::shared_lock look(mu);
    const int inside = ++readers_inside;
    for (int most = most_readers; most < inside && !most_readers.compare_exchange_weak(most, inside);) {
    }
    const int sum = sum_of_table();
    turnkey::this_goroutine::yield();  // still inside: other readers may come in, the writer may not
    if (sum_of_table() != sum) ++readings_disturbed;
    ++readings;
    --readers_inside;
  }
}

void write_loop(clock::duration& longest_wait) {
  for (int i = 0; i < rounds * keys; ++i) {
    const auto asked = clock::now();
    const std::scoped_lock change(mu);
    longest_wait = std::max(longest_wait, clock::now() - asked);
    table[i % keys] = i;
  }
  writer_is_through = true;
}

}  // namespace

int main() {
  clock::duration longest_wait{0};
  turnkey::wait_group all;
  for (int i = 0; i < 4; ++i) all.go({.name = "reader"}, read_loop);
  all.go({.name = "writer"}, write_loop, std::ref(longest_wait));
  all.wait();
  std::printf("readers inside at once: up to %d of 4\n", most_readers.load());
  std::printf("readings that the writer disturbed: %d of %d\n", readings_disturbed.load(), readings.load());
  std::printf("writes: all %d, the longest wait for the lock was %.2f ms\n", rounds * keys,
              std::chrono::duration<double, std::milli>(longest_wait).count());
}
