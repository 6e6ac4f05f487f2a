// expect: cannot be copied
#include <utility>

#include <turnkey/task_group.hpp>

void call(turnkey::task_group& it) {
#ifdef CONTROL
  turnkey::task_group& taken = it;
#else
  turnkey::task_group taken = std::move(it);
#endif
  static_cast<void>(taken);
}
