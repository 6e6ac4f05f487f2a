// S10: three ways out of a critical section, and the mutex is free after each.
//
// In Go: `mu.Lock(); defer mu.Unlock()`, which also runs when a function returns early or panics. In C++ the guard's
// destructor does that: std::scoped_lock and std::unique_lock work on a turnkey::mutex as they are.
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <turnkey/turnkey.hpp>

namespace {

turnkey::mutex mu;  // guards balance
int balance = 100;

bool withdraw(int amount) {
  const std::scoped_lock hold(mu);
  if (amount <= 0) throw std::invalid_argument("an amount must be positive");
  if (amount > balance) return false;
  balance -= amount;
  return true;
}

// Asks from another goroutine, because it is others who would have to wait.
void report(const char* how) {
  bool is_free = false;
  turnkey::wait_group asked;
  asked.go([&] {
    const std::unique_lock attempt(mu, std::try_to_lock);
    is_free = attempt.owns_lock();
  });
  asked.wait();
  std::printf("%-22s balance %3d, the mutex is %s\n", how, balance, is_free ? "free" : "STILL LOCKED");
}

}  // namespace

int main() {
  withdraw(10);
  report("after the last line:");
  withdraw(1000);
  report("after a return:");
  try {
    withdraw(-5);
  } catch (const std::invalid_argument&) {
  }
  report("after an exception:");
}
