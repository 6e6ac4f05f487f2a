// expect: cannot be copied
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  const auto f = [&table] { return &table; };
  static_cast<void>(f());
#else
  const auto f = [table] { return &table; };
  static_cast<void>(f());
#endif
}
