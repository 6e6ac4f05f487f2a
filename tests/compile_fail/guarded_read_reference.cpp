// expect: a reference would carry the data out of its lock
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.read([](const auto& t) { return t.at(1); }));
#else
  static_cast<void>(table.read([](const auto& t) -> const auto& { return t.at(1); }));
#endif
}
