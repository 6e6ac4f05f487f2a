// expect: compare_and_swap: V must have ==
#include <turnkey/concurrent_map.hpp>

struct value {
  int number;
#ifdef CONTROL
  bool operator==(const value&) const = default;
#endif
};

bool call(turnkey::concurrent_map<int, value>& map) { return map.compare_and_swap(1, value{1}, value{2}); }
