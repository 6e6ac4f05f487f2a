// expect: cannot be copied
#include <turnkey/task_group.hpp>

void call(turnkey::task_group& it) {
#ifdef CONTROL
  const auto f = [&it] { return &it; };
#else
  const auto f = [it] { return &it; };
#endif
  static_cast<void>(f());
}
