// expect: a lock cannot be copied
#include <turnkey/rw_mutex.hpp>

void call(turnkey::rw_mutex& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
