// expect: f must take a std::optional
#include <optional>

#include <turnkey/concurrent_map.hpp>

void call(turnkey::concurrent_map<int, int>& map) {
#ifdef CONTROL
  map.update(1, [](std::optional<int>& n) { n = n.value_or(0) + 1; });
#else
  map.update(1, [](int& n) { ++n; });
#endif
}
