// expect: deleted|no matching
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  auto hold = table.lock();
  auto other = std::move(hold);
  static_cast<void>(other);
#else
  auto hold = table.lock();
  auto other = hold;
  static_cast<void>(other);
#endif
}
