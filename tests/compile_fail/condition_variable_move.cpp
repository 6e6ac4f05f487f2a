// expect: cannot be copied
#include <utility>

#include <turnkey/condition_variable.hpp>

void call(turnkey::condition_variable& it) {
#ifdef CONTROL
  turnkey::condition_variable& taken = it;
#else
  turnkey::condition_variable taken = std::move(it);
#endif
  static_cast<void>(taken);
}
