// expect: a lock cannot be copied
#include <utility>

#include <turnkey/rw_mutex.hpp>

void call(turnkey::rw_mutex& it) {
#ifdef CONTROL
  turnkey::rw_mutex& taken = it;
#else
  turnkey::rw_mutex taken = std::move(it);
#endif
  static_cast<void>(taken);
}
