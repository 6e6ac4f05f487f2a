// W6: two transfers take the same two locks in opposite orders, and each ends up waiting for the other.
//
// In Go: nothing is said as long as any other goroutine can run. Here the one that closes the cycle finds it before it
// waits, and the report names both, with the locks' names. The cure is one order for all - or std::scoped_lock(a, b), which
// takes both or none.
//
// With the argument "lucky" the two do not meet, and nothing goes wrong this time. TURNKEY_LOCK_ORDER=1 reports the
// inversion all the same.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

struct account {
  turnkey::mutex mu;  // guards balance
  int balance = 100;
};

account checking, savings;

void transfer(account& from, account& to, int amount) {
  const std::scoped_lock hold_from(from.mu);
  turnkey::this_goroutine::sleep_for(10ms);  // whatever takes a while
  const std::scoped_lock hold_to(to.mu);
  from.balance -= amount;
  to.balance += amount;
}

}  // namespace

int main(int count, char** arguments) {
  const bool is_lucky = count > 1 && std::string_view(arguments[1]) == "lucky";
  turnkey::diagnostics::name(checking.mu, "checking");
  turnkey::diagnostics::name(savings.mu, "savings");

  turnkey::wait_group transfers;
  transfers.go({.name = "there"}, [] { transfer(checking, savings, 10); });
  if (is_lucky) transfers.wait();
  transfers.go({.name = "back"}, [] { transfer(savings, checking, 20); });
  if (!transfers.wait_for(100ms)) {
    std::puts("the transfers hang, main goes on");
    std::fflush(stdout);
    std::_Exit(1);
  }
  std::printf("checking %d, savings %d\n", checking.balance, savings.balance);
}
