// S3: a map of counts behind one mutex, with an increment that takes its time.
//
// In Go: a struct of a `map[string]int` and a mutex; inc and val lock, defer the unlock and call slow helpers that know
// nothing of locks. A map is never safe by itself: one writer is enough to make every other user need the lock.
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

class safe_counter {
 public:
  void increment(const std::string& key) {
    const std::scoped_lock hold(mu_);
    slow_increment(key);
  }

  int value(const std::string& key) const {
    const std::scoped_lock hold(mu_);
    const auto found = counts_.find(key);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  // Reads, lets everybody else run, writes. Without the lock, this loses nearly every count.
  void slow_increment(const std::string& key) {
    const int before = counts_[key];
    turnkey::this_goroutine::yield();
    counts_[key] = before + 1;
  }

  mutable turnkey::mutex mu_;  // guards counts_
  std::map<std::string, int> counts_;
};

}  // namespace

int main() {
  const std::string fruits[] = {"apple", "banana", "cherry", "date", "elderberry"};
  safe_counter counter;
  turnkey::wait_group pickers;
  for (int i = 0; i < 100; ++i) {
    pickers.go([&] {
      for (const std::string& fruit : fruits) counter.increment(fruit);
    });
  }
  pickers.wait();
  for (const std::string& fruit : fruits) std::printf("%-10s %d\n", fruit.c_str(), counter.value(fruit));
}
