// expect: cannot be copied
#include <turnkey/task_group.hpp>

struct holder {
  turnkey::task_group it;
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
