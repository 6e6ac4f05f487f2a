// Holds mutexes of the system's while it waits, or does not: os_mutex CASE. Prints "end".
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

std::mutex system_mutex;
std::shared_mutex system_shared_mutex;
turnkey::mutex ours;

void in_goroutine(const std::function<void()>& f) {
  turnkey::wait_group one;
  one.go({.name = "worker"}, f);
  one.wait();
}

[[gnu::noinline]] void nap() { turnkey::this_goroutine::sleep_for(1ms); }

[[gnu::noinline]] void nap_under_a_lock() {
  const std::scoped_lock hold(system_mutex);
  nap();
}

[[gnu::noinline]] void nap_under_a_read_lock() {
  const std::shared_lock hold(system_shared_mutex);
  nap();
}

void receive_under_a_tried_lock() {
  const auto numbers = turnkey::make_chan<int>();
  turnkey::go([numbers] {
    for (;; nap()) {
      std::ostringstream text;
      turnkey::diagnostics::dump(text);
      if (text.str().find("[chan receive") != std::string::npos) break;
    }
    numbers.send(1);
  });
  const std::unique_lock hold(system_mutex, std::try_to_lock);
  if (hold.owns_lock()) numbers.recv();
}

void nap_afterwards() {
  { const std::scoped_lock hold(system_mutex, system_shared_mutex); }
  nap();
}

// Unlocks meanwhile, and is no wait of the library's.
void wait_for_a_condition() {
  std::condition_variable is_ready;
  bool ready = false;
  std::thread other([&] {
    const std::scoped_lock hold(system_mutex);
    ready = true;
    is_ready.notify_one();
  });
  {
    std::unique_lock hold(system_mutex);
    is_ready.wait(hold, [&] { return ready; });
  }
  other.join();
  nap();
}

const std::map<std::string, std::function<void()>> cases{
    {"a lock", [] { in_goroutine(nap_under_a_lock); }},
    {"a read lock", [] { in_goroutine(nap_under_a_read_lock); }},
    {"a tried lock", [] { in_goroutine(receive_under_a_tried_lock); }},
    {"often",
     [] {
       for (int i = 0; i < 20; ++i) in_goroutine(nap_under_a_lock);
     }},
    {"unlocked", [] { in_goroutine(nap_afterwards); }},
    {"a condition", [] { in_goroutine(wait_for_a_condition); }},
    {"a thread", [] { std::thread(nap_under_a_lock).join(); }},
    {"ours",
     [] {
       in_goroutine([] {
         const std::scoped_lock hold(ours);
         nap();
       });
     }},
};

}  // namespace

int main(int, char** argv) {
  cases.at(argv[1])();
  std::puts("end");
}
