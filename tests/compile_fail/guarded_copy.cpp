// expect: cannot be copied
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  turnkey::guarded<std::map<int, std::string>> other(table.load());
  static_cast<void>(other);
#else
  turnkey::guarded<std::map<int, std::string>> other(table);
  static_cast<void>(other);
#endif
}
