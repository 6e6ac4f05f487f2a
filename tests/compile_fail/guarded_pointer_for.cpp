// expect: a pointer would carry the data out of its lock
#include <chrono>
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.with_for(std::chrono::seconds(1), [](auto& t) { return t[1]; }));
#else
  static_cast<void>(table.with_for(std::chrono::seconds(1), [](auto& t) { return &t[1]; }));
#endif
}
