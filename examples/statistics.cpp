// S8: requests and errors are counted by many and read while they change. At the end the totals are exact.
//
// In Go: two atomic.Int64 that every core fights for. A turnkey::counter gives each thread a place of its own to add to.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <turnkey/turnkey.hpp>

namespace {

constexpr int servers = 100;
constexpr int requests_each = 10'000;

turnkey::counter requests;
turnkey::counter errors;
std::atomic<bool> is_open{true};

void serve() {
  for (int i = 0; i < requests_each; ++i) {
    ++requests;
    if (i % 100 == 99) ++errors;
    if (i % 1000 == 999) turnkey::this_goroutine::yield();
  }
}

// Reads while the others count. What it sees may be a moment old, but never goes back.
void watch(int& looks, int& steps_back) {
  std::int64_t last = 0;
  do {
    const std::int64_t now = requests.load();
    if (now < last) ++steps_back;
    last = now;
    ++looks;
    turnkey::this_goroutine::yield();
  } while (is_open);
}

}  // namespace

int main() {
  int looks = 0;
  int steps_back = 0;
  turnkey::wait_group watcher;
  watcher.go([&] { watch(looks, steps_back); });
  turnkey::wait_group all;
  for (int i = 0; i < servers; ++i) all.go(serve);
  all.wait();
  is_open = false;
  watcher.wait();
  std::printf("requests: %lld\nerrors:   %lld\n", static_cast<long long>(requests.load()),
              static_cast<long long>(errors.load()));
  std::printf("times the watcher saw less than before: %d, in %d looks\n", steps_back, looks);
}
