// expect: cannot be copied
#include <turnkey/counter.hpp>

void call(turnkey::counter& it) {
#ifdef CONTROL
  const auto f = [&it] { return it.load(); };
  static_cast<void>(f());
#else
  const auto f = [it] { return it.load(); };
  static_cast<void>(f());
#endif
}
