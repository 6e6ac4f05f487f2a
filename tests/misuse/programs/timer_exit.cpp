// timer_exit WAY STATUS [exit]: main returns STATUS, or calls exit(STATUS), while timers are pending.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

namespace {

turnkey::ticker& static_ticker() {
  static turnkey::ticker every(10us);
  return every;
}

// Some come due while the program ends, others do not.
void calls() {
  for (int i = 0; i < 2000; ++i) {
    turnkey::run_after(std::chrono::microseconds(i * 5), [mine = std::make_unique<int>(i)] { ++*mine; });
  }
  for (int i = 0; i < 100; ++i) turnkey::run_after(1h, [mine = std::make_unique<std::vector<int>>(100)] {});
}

void calls_without_end() {
  struct again {
    void operator()() const { turnkey::run_after(1us, again()); }
  };
  for (int i = 0; i < 10; ++i) turnkey::run_after(0s, again());
}

void receivers() {
  for (int i = 0; i < 20; ++i) {
    turnkey::go([] {
      const turnkey::ticker every(5us);
      for (const auto due : every.channel()) static_cast<void>(due);
    });
    turnkey::go([channel = static_ticker().channel()] {
      while (channel.recv()) {
      }
    });
    turnkey::go([] { turnkey::after(1h).recv(); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view way = argv[1];
  if (way == "calls") calls();
  if (way == "calls without end") calls_without_end();
  if (way == "receivers") receivers();
  if (way == "static ticker") static_ticker().channel().recv();
  const int status = std::atoi(argv[2]);
  if (argc > 3) std::exit(status);
  return status;
}
