// Two withdrawals of 10 from 100, without a lock. Each reads the balance before the other writes it, so one is lost.
#include <atomic>
#include <cstdio>

#include <turnkey/go.hpp>
#include <turnkey/wait_group.hpp>

namespace {

int balance = 100;
std::atomic<int> have_read{0};

// Waits until both are here; orders nothing, as everything is relaxed.
void rendezvous() {
  have_read.fetch_add(1, std::memory_order_relaxed);
  while (have_read.load(std::memory_order_relaxed) < 2) turnkey::this_goroutine::yield();
}

void withdraw(int amount) {
  const int before = balance;
  rendezvous();
  balance = before - amount;
}

}  // namespace

int main() {
  turnkey::wait_group done;
  done.go({.name = "withdrawal A"}, withdraw, 10);
  done.go({.name = "withdrawal B"}, withdraw, 10);
  done.wait();
  std::printf("%d\n", balance);
}
