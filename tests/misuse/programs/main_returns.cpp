// main_returns WAY STATUS [exit]: main returns STATUS, or calls exit(STATUS), while goroutines are alive.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

namespace {

turnkey::wait_group under_way;  // done() by each goroutine that has begun what it is here for
turnkey::semaphore never(0);
turnkey::mutex mu;
volatile bool for_ever = true;

void start(int goroutines, void (*body)()) {
  for (int i = 0; i < goroutines; ++i) {
    under_way.add();
    turnkey::go([body] {
      const auto mine = std::make_unique<std::vector<int>>(100);  // something to own while main returns
      under_way.done();
      body();
    });
  }
  under_way.wait();
}

void spin() {
  while (for_ever) {
  }
}

void yield() {
  while (for_ever) turnkey::this_goroutine::yield();
}

void throw_and_catch() {
  while (for_ever) {
    try {
      throw std::runtime_error("again");
    } catch (const std::runtime_error&) {
      turnkey::this_goroutine::yield();
    }
  }
}

void lock_and_unlock() {
  while (for_ever) {
    const std::scoped_lock hold(mu);
  }
}

void start_more() {
  while (for_ever) {
    turnkey::go([] {});
    turnkey::this_goroutine::yield();
  }
}

void sleep() { turnkey::this_goroutine::sleep_for(1h); }

void nap() {
  while (for_ever) turnkey::this_goroutine::sleep_for(1us);
}

void park() { never.acquire(); }

void block() {
  turnkey::blocking([] {
    char byte;
    return ::read(0, &byte, 1);
  });
}

void read_unannotated() {
  char byte;
  (void)!::read(0, &byte, 1);
}

// The goroutines wait behind one that keeps the only worker.
void start_none() {
  turnkey::set_max_procs(1);
  start(1, spin);
  for (int i = 0; i < 100; ++i) turnkey::go([mine = std::make_unique<int>(i)] { never.acquire(); });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view way = argv[1];
  if (way == "spinning") turnkey::set_max_procs(2), start(2, spin);
  if (way == "yielding") start(50, yield);
  if (way == "throwing") start(20, throw_and_catch);
  if (way == "locking") start(20, lock_and_unlock);
  if (way == "starting") start(2, start_more);
  if (way == "asleep") start(50, sleep);
  if (way == "napping") start(50, nap);
  if (way == "parked") start(50, park);
  if (way == "blocking") start(10, block);
  if (way == "reading") start(3, read_unannotated);
  if (way == "never started") start_none();
  const int status = std::atoi(argv[2]);
  if (argc > 3) std::exit(status);
  return status;
}
