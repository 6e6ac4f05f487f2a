// S6: two withdrawals of 10 from 100, while an auditor keeps looking.
//
// In Go: Withdraw locks a `sync.RWMutex`, Balance takes its read lock. The lock does two things at once: no withdrawal
// overwrites another (W3 shows what happens otherwise), and nobody ever sees one half done.
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <turnkey/turnkey.hpp>

namespace {

class account {
 public:
  struct statement {
    int balance;
    int paid_out;
  };

  void withdraw(int amount) {
    const std::scoped_lock change(mu_);
    const int before = balance_;
    turnkey::this_goroutine::yield();  // the worst moment to be interrupted, every time
    balance_ = before - amount;
    turnkey::this_goroutine::yield();  // and the second worst: the books do not add up right now
    paid_out_ += amount;
  }

  statement look() const {
    const std::shared_lock hold(mu_);
    return {balance_, paid_out_};
  }

 private:
  mutable turnkey::rw_mutex mu_;  // guards both; their sum never changes
  int balance_ = 100;
  int paid_out_ = 0;
};

}  // namespace

int main() {
  account shared;
  int looks = 0;
  int half_done = 0;
  turnkey::wait_group everyone;
  everyone.go({.name = "auditor"}, [&] {
    for (bool busy = true; busy; turnkey::this_goroutine::yield()) {
      const account::statement now = shared.look();
      ++looks;
      if (now.balance + now.paid_out != 100) ++half_done;
      busy = now.paid_out < 20;
    }
  });
  everyone.go({.name = "Anna"}, &account::withdraw, &shared, 10);
  everyone.go({.name = "Ben"}, &account::withdraw, &shared, 10);
  everyone.wait();
  std::printf("balance: %d\n", shared.look().balance);
  std::printf("withdrawals seen half done: %d, in %d looks\n", half_done, looks);
}
