// S2: a thousand goroutines and a counter that brings its own mutex. 1000 every time, not almost every time.
//
// In Go: a struct with a `mu sync.Mutex` and a `value int`, a method with `defer c.mu.Unlock()`, a thousand goroutines.
// The scope ends the lock here; there is nothing to defer.
#include <cstdio>
#include <mutex>
#include <turnkey/turnkey.hpp>

namespace {

class secure_counter {
 public:
  void increment() {
    const std::scoped_lock hold(mu_);
    ++value_;
  }

  int value() const {
    const std::scoped_lock hold(mu_);
    return value_;
  }

 private:
  mutable turnkey::mutex mu_;  // guards value_
  int value_ = 0;
};

int count_to_a_thousand() {
  secure_counter counter;
  turnkey::wait_group adders;
  for (int i = 0; i < 1000; ++i) adders.go(&secure_counter::increment, &counter);
  adders.wait();
  return counter.value();
}

}  // namespace

int main() {
  constexpr int runs = 20;
  int exact = 0;
  for (int run = 0; run < runs; ++run) exact += count_to_a_thousand() == 1000 ? 1 : 0;
  std::printf("%d of %d runs counted exactly 1000\n", exact, runs);
}
