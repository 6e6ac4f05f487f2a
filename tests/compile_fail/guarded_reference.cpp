// expect: a reference would carry the data out of its lock
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  const std::string copy = table.with([](auto& t) { return t[1]; });
  static_cast<void>(copy);
#else
  const std::string& inside = table.with([](auto& t) -> auto& { return t[1]; });
  static_cast<void>(inside);
#endif
}
