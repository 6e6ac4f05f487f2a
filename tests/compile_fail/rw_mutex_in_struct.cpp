// expect: a lock cannot be copied
#include <turnkey/rw_mutex.hpp>

struct holder {
  turnkey::rw_mutex it;
  int data = 0;
};

void call(const holder& mine) {
#ifdef CONTROL
  const holder& same = mine;
#else
  const holder same = mine;
#endif
  static_cast<void>(same.data);
}
