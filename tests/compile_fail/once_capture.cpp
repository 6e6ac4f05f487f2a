// expect: cannot be copied
#include <turnkey/once.hpp>

void call(turnkey::once& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
