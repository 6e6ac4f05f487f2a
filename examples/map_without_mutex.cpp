// W1: S4 without its mutex. One goroutine writes a map while another one goes through it.
//
// In Go this is `fatal error: concurrent map iteration and map write`, and the map is the built-in one. With a
// std::unordered_map it would be anything at all; a checked_map says what it is.
#include <turnkey/turnkey.hpp>

namespace {

turnkey::checked_map<int, int> table;

void write_for_ever() {
  for (int round = 0;; ++round) {
    table.clear();
    for (int key = 0; key < 100; ++key) table[key] = round;
    turnkey::this_goroutine::yield();
  }
}

void read_for_ever() {
  for (long sum = 0; sum >= 0;) {
    for (const auto& [key, value] : table) {
      sum += value;
      turnkey::this_goroutine::yield();  // as a goroutine may at any time
    }
    turnkey::this_goroutine::yield();
  }
}

}  // namespace

int main() {
  turnkey::go({.name = "writer"}, write_for_ever);
  turnkey::go({.name = "reader"}, read_for_ever);
  turnkey::make_chan<int>().recv();
}
