// expect: must return bool
#include <turnkey/concurrent_map.hpp>

int sum(turnkey::concurrent_map<int, int>& map) {
  int all = 0;
#ifdef CONTROL
  map.range([&](int, int value) { return all += value, true; });
#else
  map.range([&](int, int value) { all += value; });
#endif
  return all;
}
