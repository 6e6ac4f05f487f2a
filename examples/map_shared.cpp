// W2: a map that two use at once: `map_shared writers`, or `map_shared readers` for a reader and a writer.
//
// In Go: `fatal error: concurrent map writes` and `fatal error: concurrent map read and map write`.
#include <atomic>
#include <cstring>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

turnkey::checked_map<std::string, int> hits;

// Writes and reads in pieces that are long enough for two to meet, whatever the machine.
void write_for_ever(int first) {
  for (int key = first;; ++key) hits["visitor " + std::to_string(key % 50'000)] = key;
}

void read_for_ever() {
  for (int key = 0, found = 0; found >= 0; ++key)
    found ^= hits.contains("visitor " + std::to_string(key % 50'000)) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_reading = argc > 1 && std::strcmp(argv[1], "readers") == 0;
  turnkey::set_max_procs(2);
  turnkey::go({.name = "writer"}, write_for_ever, 0);
  if (is_reading) {
    turnkey::go({.name = "reader"}, read_for_ever);
  } else {
    turnkey::go({.name = "other writer"}, write_for_ever, 25'000);
  }
  turnkey::make_chan<int>().recv();
}
