// expect: cannot be copied
#include <turnkey/semaphore.hpp>

void call(turnkey::semaphore& left, turnkey::semaphore& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
