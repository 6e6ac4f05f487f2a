// expect: a pointer would carry the data out of its lock
#include <chrono>
#include <map>
#include <string>

#include <turnkey/guarded.hpp>

void call(turnkey::guarded<std::map<int, std::string>>& table) {
#ifdef CONTROL
  turnkey::guarded<int> other;
  static_cast<void>(with_all_for(
      std::chrono::seconds(1), [](auto& t, int& n) { return t[n]; }, table, other));
#else
  turnkey::guarded<int> other;
  static_cast<void>(with_all_for(
      std::chrono::seconds(1), [](auto& t, int& n) { return &t[n]; }, table, other));
#endif
}
