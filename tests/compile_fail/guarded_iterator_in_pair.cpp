// expect: an iterator would carry the data out of its lock
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.with([](auto& t) { return t.insert({1, "one"}).second; }));
#else
  static_cast<void>(table.with([](auto& t) { return t.insert({1, "one"}); }));
#endif
}
