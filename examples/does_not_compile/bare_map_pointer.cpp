// S9: a struct that keeps its map to itself cannot give it away by mistake.
#include <map>
#include <turnkey/guarded.hpp>

class accounts {
 public:
  auto bare() {
    return balances_.with([](std::map<int, int>& all) { return &all; });
  }

 private:
  turnkey::guarded<std::map<int, int>> balances_;
};

int main() { (*accounts().bare())[1] = 2; }
