// expect: a pointer would carry the data out of its lock
#include <map>
#include <string>

#include <turnkey/guarded.hpp>
#include <vector>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.with([](auto& t) { return std::vector{t[1], t[2]}; }));
#else
  static_cast<void>(table.with([](auto& t) { return std::vector{&t[1], &t[2]}; }));
#endif
}
