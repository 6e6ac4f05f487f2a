// W5: a method that holds the lock calls another that wants it. Mutexes are not re-entrant, in Go or here.
//
// In Go: the same program stops with `fatal error: all goroutines are asleep - deadlock!`, and only if no other goroutine can
// run. Here it is reported when it happens, whatever the others do. A re-entrant mutex would let
// the second method in, and it would find the data half changed: that nobody else is inside is only one of the things
// that a lock promises. The cure is a private method that expects the lock to be held, which both public ones call.
#include <mutex>
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

namespace {

class account {
 public:
  account() { turnkey::diagnostics::name(mu_, "account"); }

  int balance() const {
    const std::scoped_lock hold(mu_);
    return balance_;
  }

  void add_interest() {
    const std::scoped_lock hold(mu_);
    balance_ += balance() / 10;  // waits for the lock that it holds
  }

 private:
  mutable turnkey::mutex mu_;  // guards balance_
  int balance_ = 100;
};

}  // namespace

int main() {
  account savings;
  turnkey::wait_group clerk;
  clerk.go({.name = "clerk"}, &account::add_interest, &savings);
  clerk.wait();
}
