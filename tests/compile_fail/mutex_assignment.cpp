// expect: a lock cannot be copied
#include <turnkey/mutex.hpp>

void call(turnkey::mutex& left, turnkey::mutex& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
