// expect: a lock cannot be copied
#include <turnkey/mutex.hpp>

struct account {
  turnkey::mutex mu;
  int balance = 0;
};

void call(account& mine, const account& yours) {
#ifdef CONTROL
  mine.balance = yours.balance;
#else
  mine = yours;
#endif
}
