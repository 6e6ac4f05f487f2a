// expect: cannot be copied
#include <utility>

#include <turnkey/once.hpp>

void call(turnkey::once& it) {
#ifdef CONTROL
  turnkey::once& taken = it;
#else
  turnkey::once taken = std::move(it);
#endif
  static_cast<void>(taken);
}
