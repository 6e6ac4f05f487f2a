// expect: is private|is a private
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  static_cast<void>(table.load());
#else
  static_cast<void>(table.value_);
#endif
}
