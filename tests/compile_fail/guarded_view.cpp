// expect: a view would carry the data out of its lock
#include <map>
#include <string>

#include <string_view>
#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.read([](const auto& t) { return std::string(t.at(1)); }));
#else
  static_cast<void>(table.read([](const auto& t) { return std::string_view(t.at(1)); }));
#endif
}
