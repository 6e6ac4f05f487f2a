// expect: cannot be copied
#include <turnkey/condition_variable.hpp>

void call(turnkey::condition_variable& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
