// expect: f\(const K&, const V&\)
#include <turnkey/concurrent_map.hpp>

void call(turnkey::concurrent_map<int, int>& map) {
#ifdef CONTROL
  map.range([](int, const int& value) { return value == 0; });
#else
  map.range([](int, int& value) { return ++value == 0; });
#endif
}
