// expect: cannot bind|discards qualifiers|drops .const. qualifier
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  auto hold = table.lock();
  std::map<int, std::string>& inside = *hold;
  static_cast<void>(inside);
#else
  std::map<int, std::string>& inside = *table.lock();
  static_cast<void>(inside);
#endif
}
