// expect: cannot be copied
#include <utility>

#include <turnkey/semaphore.hpp>

void call(turnkey::semaphore& it) {
#ifdef CONTROL
  turnkey::semaphore& taken = it;
#else
  turnkey::semaphore taken = std::move(it);
#endif
  static_cast<void>(taken);
}
