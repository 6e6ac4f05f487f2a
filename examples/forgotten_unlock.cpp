// W4: one way out of the function forgets to unlock. The next one to come waits for ever, and so does everybody else.
//
// In Go: a `mu.Lock()` without `defer mu.Unlock()`, and `fatal error: all goroutines are asleep - deadlock!`.
// A std::scoped_lock in place of lock() and unlock() would do (S10), and Clang's -Wthread-safety finds this one before
// it runs: hence the attribute, which tells Clang to look away.
#include <cstdio>
#include <turnkey/turnkey.hpp>

namespace {

turnkey::mutex mu;  // guards balance
int balance = 100;

[[clang::no_thread_safety_analysis]] bool withdraw(int amount) {
  mu.lock();
  if (amount > balance) return false;  // with the mutex in its pocket
  balance -= amount;
  mu.unlock();
  return true;
}

void try_to_withdraw(int amount) { std::printf("withdraw %d: %s\n", amount, withdraw(amount) ? "done" : "refused"); }

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was printed must not be lost with the program
  turnkey::wait_group first;
  first.go({.name = "careless"}, try_to_withdraw, 1000);
  first.wait();
  turnkey::wait_group second;
  second.go({.name = "patient"}, try_to_withdraw, 10);
  second.wait();
}
