// expect: cannot be copied
#include <utility>

#include <turnkey/wait_group.hpp>

void call(turnkey::wait_group& it) {
#ifdef CONTROL
  turnkey::wait_group& taken = it;
#else
  turnkey::wait_group taken = std::move(it);
#endif
  static_cast<void>(taken);
}
