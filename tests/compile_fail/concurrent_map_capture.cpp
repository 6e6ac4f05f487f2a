// expect: cannot be copied
#include <turnkey/concurrent_map.hpp>

void call(turnkey::concurrent_map<int, int>& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
