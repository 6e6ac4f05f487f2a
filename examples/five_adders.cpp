// S1: five goroutines add 1 to one counter.
//
// In Go: `var mu sync.Mutex` beside `var counter int`, five times `go increment(&wg)`, then `wg.Wait()`. Here the
// wait_group starts the goroutines itself, so nobody can forget the Add or the Done.
#include <cstdio>
#include <mutex>
#include <turnkey/turnkey.hpp>

namespace {

turnkey::mutex mu;  // guards counter
int counter = 0;

void increment() {
  const std::scoped_lock hold(mu);
  ++counter;
}

}  // namespace

int main() {
  turnkey::wait_group adders;
  for (int i = 0; i < 5; ++i) adders.go(increment);
  adders.wait();  // whatever the five did is seen from here on, so this read needs no lock
  std::printf("counter: %d\n", counter);
}
