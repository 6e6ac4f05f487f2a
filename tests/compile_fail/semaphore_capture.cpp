// expect: cannot be copied
#include <turnkey/semaphore.hpp>

void call(turnkey::semaphore& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
