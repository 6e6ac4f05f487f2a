// expect: cannot be copied
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  turnkey::guarded<std::map<int, std::string>> other;
  other.store(table.load());
#else
  turnkey::guarded<std::map<int, std::string>> other;
  other = table;
#endif
}
