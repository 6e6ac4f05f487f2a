// expect: cannot be copied
#include <turnkey/snapshot.hpp>

void call(turnkey::snapshot<int>& it) {
#ifdef CONTROL
  const auto f = [p = it.load()] { return *p; };
  static_cast<void>(f());
#else
  const auto f = [it] { return *it.load(); };
  static_cast<void>(f());
#endif
}
