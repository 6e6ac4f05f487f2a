// expect: (cannot bind|cannot be bound|non-const lvalue reference)
#include <optional>
#include <string>

#include <turnkey/concurrent_map.hpp>

// What is in the map is never handed out, only copies.
void call(turnkey::concurrent_map<int, std::string>& map) {
#ifdef CONTROL
  const std::optional<std::string> value = map.load(1);
#else
  std::optional<std::string>& value = map.load(1);
#endif
  static_cast<void>(value);
}
