// unordered WAY: two write one int, one after the other, in an order that the library does not promise.
#include <atomic>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include <turnkey/turnkey.hpp>

int shared = 0;  // seen from outside, so that no compiler drops the writes

namespace {

// All of it relaxed: orders nothing.
std::atomic<int> here{0};
std::atomic<bool> has_written{false};
std::atomic<bool> may_end{false};

void write_first() {
  shared = 1;
  has_written.store(true, std::memory_order_relaxed);
}

void wait_for_first() {
  while (!has_written.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
}

void write_second() { shared = 2; }

void meet() {
  here.fetch_add(1, std::memory_order_relaxed);
  while (here.load(std::memory_order_relaxed) < 2) turnkey::this_goroutine::yield();
}

// Runs both until both have ended. The first does not end before the second has written.
template <class First, class Second>
void run(First first, Second second) {
  turnkey::wait_group done;
  done.go({.name = "first"}, [first] {
    first();
    while (!may_end.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
  });
  done.go({.name = "second"}, [second] {
    second();
    may_end.store(true, std::memory_order_relaxed);
  });
  done.wait();
}

// The same, and both have started before either goes on.
template <class First, class Second>
void run_both(First first, Second second) {
  run([first] { meet(), first(); }, [second] { meet(), wait_for_first(), second(); });
}

// One worker runs both by turns.
void by_turns() {
  turnkey::set_max_procs(1);
  run_both(write_first, write_second);
}

// One worker starts the second after the first has written.
void by_order_of_start() {
  turnkey::set_max_procs(1);
  run(write_first, [] { wait_for_first(), write_second(); });
}

void by_goroutine_exit() {
  turnkey::go({.name = "first"}, write_first);
  wait_for_first();
  write_second();
}

void by_num_goroutines() {
  turnkey::go({.name = "first"}, write_first);
  wait_for_first();
  while (turnkey::num_goroutines() != 0) turnkey::this_goroutine::yield();
  write_second();
}

void by_sleep() {
  run_both(write_first, [] {
    turnkey::this_goroutine::sleep_for(std::chrono::milliseconds(1));
    write_second();
  });
}

[[clang::no_thread_safety_analysis]] void lock(turnkey::mutex& mu) { mu.lock(); }

// A failed try_lock orders nothing.
void by_failed_try_lock() {
  static turnkey::mutex mu;
  run_both(
      [] {
        shared = 1;
        lock(mu);
        has_written.store(true, std::memory_order_relaxed);
      },
      [] {
        const std::unique_lock hold(mu, std::try_to_lock);
        if (hold.owns_lock()) std::puts("locked");
        write_second();
      });
}

// Readers are not ordered among each other.
void by_read_locks() {
  static turnkey::rw_mutex rw;
  run_both(
      [] {
        const std::shared_lock hold(rw);
        write_first();
      },
      [] {
        const std::shared_lock hold(rw);
        write_second();
      });
}

// add() is no done().
void by_add() {
  static turnkey::wait_group group;
  group.add();
  run_both(
      [] {
        shared = 1;
        group.add();
        has_written.store(true, std::memory_order_relaxed);
      },
      [] {
        group.add();
        write_second();
      });
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  if (way == "turns") by_turns();
  if (way == "order of start") by_order_of_start();
  if (way == "goroutine exit") by_goroutine_exit();
  if (way == "num_goroutines") by_num_goroutines();
  if (way == "sleep") by_sleep();
  if (way == "failed try_lock") by_failed_try_lock();
  if (way == "read locks") by_read_locks();
  if (way == "add") by_add();
  std::puts("done");
}
