// timer_unordered WAY: two write one int, one after the other, and only a timer stands between them: it was started before
// the first wrote, so it orders nothing, whoever's turn it was when it came due.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string_view>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

int shared = 0;  // seen from outside, so that no compiler drops the writes

namespace {

// All of it relaxed: orders nothing.
std::atomic<bool> has_written{false};
std::atomic<bool> may_end{false};

void write_second() {
  while (!has_written.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
  shared = 2;
  may_end.store(true, std::memory_order_relaxed);
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  turnkey::set_max_procs(1);
  turnkey::wait_group done;
  if (way == "call") {
    done.add();
    turnkey::run_after(20ms, [&] {
      write_second();
      done.done();
    });
  }
  if (way == "tick") done.go({.name = "second"}, [channel = turnkey::after(20ms)] { channel.recv(), write_second(); });
  done.go({.name = "first"}, [] {
    shared = 1;
    has_written.store(true, std::memory_order_relaxed);
    while (!may_end.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
  });
  done.wait();
  std::puts("done");
}
