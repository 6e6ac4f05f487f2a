// S4: one goroutine writes the keys of a map for ever, another one reads them for ever, and main waits for ever.
//
// In Go: `for { mu.Lock(); m[i] = i; mu.Unlock() }` against `for { mu.Lock(); for range m {}; mu.Unlock() }`, and main ends
// in `<-make(chan struct{})`. It runs until it is killed. Each side says so when it has come far enough.
#include <cstdio>
#include <map>
#include <mutex>
#include <turnkey/turnkey.hpp>

namespace {

constexpr int keys = 100;
constexpr int milestone = 1000;

turnkey::mutex mu;  // guards table
std::map<int, int> table;

void say(const char* what) {
  std::printf("%s %d times, and goes on\n", what, milestone);
  std::fflush(stdout);
}

void write_for_ever() {
  for (int round = 1;; ++round) {
    for (int key = 0; key < keys; ++key) {
      const std::scoped_lock hold(mu);
      table[key] = round;
    }
    if (round == milestone) say("wrote every key");
  }
}

void read_for_ever() {
  for (int round = 1;; ++round) {
    long sum = 0;
    {
      const std::scoped_lock hold(mu);
      for (const auto& [key, value] : table) sum += value;
    }
    if (sum < 0) return;  // never: what is written is positive
    if (round == milestone) say("read the whole map");
  }
}

}  // namespace

int main() {
  turnkey::go({.name = "writer"}, write_for_ever);
  turnkey::go({.name = "reader"}, read_for_ever);
  const auto nothing = turnkey::make_chan<int>();
  nothing.recv();  // nobody will ever send: main waits, and the others go on
}
