// expect: cannot be copied
#include <turnkey/semaphore.hpp>

struct holder {
  turnkey::semaphore it{1};
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
