// expect: a lambda that captured something may carry the data out of its lock
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.with([](auto& t) { return t.size(); }));
#else
  static_cast<void>(table.with([](auto& t) { return [&t] { return t.size(); }; }));
#endif
}
