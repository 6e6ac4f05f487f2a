// S9: a reference to what a guarded holds would outlive its lock.
#include <map>
#include <turnkey/guarded.hpp>

int main() {
  turnkey::guarded<std::map<int, int>> table;
  auto& bare = table.with([](std::map<int, int>& all) -> std::map<int, int>& { return all; });
  bare[1] = 2;
}
