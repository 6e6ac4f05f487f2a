// expect: a lock cannot be copied
#include <turnkey/mutex.hpp>

struct account {
  turnkey::mutex mu;
  int balance = 0;
};

void call(const account& mine) {
#ifdef CONTROL
  const account& same = mine;
#else
  const account same = mine;
#endif
  static_cast<void>(same.balance);
}
