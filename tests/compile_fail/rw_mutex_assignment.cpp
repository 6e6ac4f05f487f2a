// expect: a lock cannot be copied
#include <turnkey/rw_mutex.hpp>

void call(turnkey::rw_mutex& left, turnkey::rw_mutex& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
