// expect: cannot be copied
#include <turnkey/once.hpp>

struct holder {
  turnkey::once it;
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
