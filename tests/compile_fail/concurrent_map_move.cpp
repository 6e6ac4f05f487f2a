// expect: cannot be copied
#include <utility>

#include <turnkey/concurrent_map.hpp>

void call(turnkey::concurrent_map<int, int>& it) {
#ifdef CONTROL
  turnkey::concurrent_map<int, int>& taken = it;
#else
  turnkey::concurrent_map<int, int> taken = std::move(it);
#endif
  static_cast<void>(taken);
}
