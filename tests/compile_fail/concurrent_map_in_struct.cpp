// expect: cannot be copied
#include <string>

#include <turnkey/concurrent_map.hpp>

struct holder {
  turnkey::concurrent_map<std::string, int> it;
  int data = 0;
};

void call(const holder& mine) {
#ifdef CONTROL
  const holder& same = mine;
#else
  const holder same = mine;
#endif
  static_cast<void>(same.data);
}
