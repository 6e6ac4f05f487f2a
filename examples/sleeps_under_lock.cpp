// W9: a goroutine sleeps - it could as well read a file, or ask a server - while it holds a lock that all others need.
//
// In Go: the others wait, and nothing tells why; the profile of blocked goroutines shows who waited, once that is over. With
// TURNKEY_HELD=20ms it is reported while the lock is held: which one, by whom, and what that one is doing. The cure is to copy
// what is needed, unlock, and be slow then.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

turnkey::mutex mu;  // guards balance
int balance = 100;

void print_statement() { turnkey::this_goroutine::sleep_for(300ms); }

void close_the_books() {
  const std::scoped_lock hold(mu);
  print_statement();
  balance = 0;
}

}  // namespace

int main() {
  turnkey::diagnostics::name(mu, "accounts");
  turnkey::wait_group bank;
  bank.go({.name = "bookkeeper"}, close_the_books);
  for (int i = 0; i < 3; ++i) {
    bank.go({.name = "teller"}, [] {
      const std::scoped_lock hold(mu);
      balance += 10;
    });
  }
  bank.wait();
  std::printf("balance: %d\n", balance);
}
