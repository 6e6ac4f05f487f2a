// W10: a lock around far too much code. Everybody is slow, nobody computes, and no single line looks wrong; the contention
// profile points at the one that unlocks too late.
//
// In Go: runtime.SetMutexProfileFraction(1), pprof.Lookup("mutex") and `go tool pprof`. The same reader opens this file:
//   ./lock_around_too_much mutex.pb.gz && go tool pprof -top mutex.pb.gz
#include <chrono>
#include <cstdio>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

constexpr int orders = 40;
turnkey::mutex mu;  // guards total
long total = 0;

// What it takes to find out what an order costs. It needs no lock.
long ask_for_the_price(int order) {
  turnkey::this_goroutine::sleep_for(2ms);
  return order % 7 + 1;
}

// The lock is there for one addition, and held all the time that the answer takes.
[[gnu::noinline]] void add_with_the_lock_around_everything(int order) {
  std::scoped_lock hold(mu);
  const long price = ask_for_the_price(order);
  total += price;
}

[[gnu::noinline]] void add_with_the_lock_around_the_addition(int order) {
  const long price = ask_for_the_price(order);
  std::scoped_lock hold(mu);
  total += price;
}

double milliseconds_of_all(void (*add)(int)) {
  const auto start = std::chrono::steady_clock::now();
  turnkey::wait_group all;
  for (int order = 0; order < orders; ++order) all.go(add, order);
  all.wait();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string profile = argc > 1 ? argv[1] : "lock_around_too_much.pb.gz";
  turnkey::diagnostics::set_mutex_profile_fraction(1);
  const double slow = milliseconds_of_all(add_with_the_lock_around_everything);
  const double quick = milliseconds_of_all(add_with_the_lock_around_the_addition);
  if (!turnkey::diagnostics::write_mutex_profile(profile)) return 1;
  std::printf("the lock around everything:    %6.1f ms\nthe lock around the addition: %6.1f ms\nprofile: %s\n", slow,
              quick, profile.c_str());
}
