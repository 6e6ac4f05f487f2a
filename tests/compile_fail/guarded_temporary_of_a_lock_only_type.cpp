// expect: this scope ends with the line
#include <memory>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::unique_ptr<int>>& it) {
#ifdef CONTROL
  const auto hold = it.lock();
  static_cast<void>(*hold);
#else
  static_cast<void>(*it.lock());
#endif
}
