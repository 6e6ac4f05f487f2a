// expect: cannot be copied
#include <turnkey/task_group.hpp>

void call(turnkey::task_group& left, turnkey::task_group& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
