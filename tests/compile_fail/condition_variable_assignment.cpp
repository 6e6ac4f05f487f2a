// expect: cannot be copied
#include <turnkey/condition_variable.hpp>

void call(turnkey::condition_variable& left, turnkey::condition_variable& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
