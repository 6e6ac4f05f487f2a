// One waits for a mutex that another holds; the profile is for TURNKEY_MUTEX_PROFILE to ask for. How it ends: by returning
// from main, or by exit() in a goroutine.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <turnkey/turnkey.hpp>

namespace {

turnkey::mutex mu;

[[gnu::noinline]] void hold_on() {
  mu.lock();
  turnkey::wait_group waiter;
  waiter.go([] { std::scoped_lock wait(mu); });
  turnkey::this_goroutine::sleep_for(std::chrono::milliseconds(20));
  mu.unlock();
  waiter.wait();
}

}  // namespace

int main(int, char** argv) {
  hold_on();
  std::puts("done");
  if (argv[1] != nullptr && std::string_view(argv[1]) == "exit_in_goroutine") {
    turnkey::go([] { std::exit(3); });
    for (;;) turnkey::this_goroutine::sleep_for(std::chrono::hours(1));
  }
}
