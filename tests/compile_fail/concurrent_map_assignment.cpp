// expect: cannot be copied
#include <turnkey/concurrent_map.hpp>

void call(turnkey::concurrent_map<int, int>& left, turnkey::concurrent_map<int, int>& right) {
#ifdef CONTROL
  static_cast<void>(&left == &right);
#else
  left = right;
#endif
}
