// expect: no matching function|passing .const|discards qualifiers|no viable|constraint
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  table.with([](std::map<int, std::string>& t) { t[1] = "one"; });
#else
  table.read([](std::map<int, std::string>& t) { t[1] = "one"; });
#endif
}
