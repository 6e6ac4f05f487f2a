// expect: cannot be copied
#include <turnkey/condition_variable.hpp>

struct holder {
  turnkey::condition_variable it;
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
