// S9: so would an iterator into it.
#include <map>
#include <turnkey/guarded.hpp>

int main() {
  turnkey::guarded<std::map<int, int>> table;
  const auto first = table.read([](const std::map<int, int>& all) { return all.begin(); });
  return first->second;
}
