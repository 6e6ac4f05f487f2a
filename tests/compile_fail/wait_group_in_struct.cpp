// expect: cannot be copied
#include <turnkey/wait_group.hpp>

struct holder {
  turnkey::wait_group it;
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
