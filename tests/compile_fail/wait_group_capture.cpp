// expect: cannot be copied
#include <turnkey/wait_group.hpp>

void call(turnkey::wait_group& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
