// expect: cannot be copied
#include <turnkey/wait_group.hpp>

void call(turnkey::wait_group& left, turnkey::wait_group& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
