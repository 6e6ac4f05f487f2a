// W3: the bank of S6 without its lock. Two withdrawals of 10 from 100 leave 90, and the bank is 10 short.
//
// In Go: two goroutines that run `balance = balance - 10`. Normally this loses money once in a million times, which is
// what makes it so hard to find. Here both have read the balance before either writes it, so it happens every time.
// Build with -fsanitize=thread to see the race itself reported, with the names of both goroutines.
#include <cstdio>
#include <functional>
#include <turnkey/turnkey.hpp>

namespace {

int balance = 100;  // shared, written by two, guarded by nothing

void withdraw(int amount, turnkey::wait_group& both_have_read) {
  const int before = balance;
  both_have_read.done();
  both_have_read.wait();  // orders the reads before the writes. Nothing orders the two writes.
  balance = before - amount;
}

}  // namespace

int main() {
  turnkey::wait_group both_have_read;
  turnkey::wait_group customers;
  both_have_read.add(2);
  for (const char* name : {"Anna", "Ben"}) {
    customers.go({.name = name}, withdraw, 10, std::ref(both_have_read));
  }
  customers.wait();
  std::printf("balance: %d, it should be 80\n", balance);
}
