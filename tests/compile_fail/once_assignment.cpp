// expect: cannot be copied
#include <turnkey/once.hpp>

void call(turnkey::once& left, turnkey::once& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
