// What of ours needs a process of its own, because it is measured by what the process then has. Each run measures one workload,
// once:
//
//   turnkey_peer parked GOROUTINES
//   turnkey_peer yield GOROUTINES TIMES
//
// and prints one line: {"value":2400.0,"figures":[4287.0]}, as the others in peers/ do.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

double resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "re");
  long pages = 0;
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) std::abort();
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// P7: nanoseconds and bytes for each of so many goroutines that wait.
void parked(int goroutines) {
  const auto never = turnkey::make_chan<int>();
  const auto start_all = [&](int count) {
    turnkey::wait_group about_to_wait;
    about_to_wait.add(count);
    for (int i = 0; i < count; ++i) {
      turnkey::go([&] {
        about_to_wait.done();
        never.recv();
      });
    }
    about_to_wait.wait();
  };
  start_all(1000);
  turnkey::wait_group measured;
  measured.go([&] {
    const double before = resident_bytes();
    const auto start = std::chrono::steady_clock::now();
    start_all(goroutines);
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    std::printf("{\"value\":%f,\"figures\":[%f]}\n", elapsed.count() / goroutines,
                (resident_bytes() - before) / goroutines);
  });
  measured.wait();
  std::fflush(stdout);
  _exit(0);  // to give back all that memory properly takes longer than the measurement
}

// S2: nanoseconds for each yield of so many that are let go at once, when all have their stacks.
void yield_together(int goroutines, int times) {
  turnkey::wait_group measured;
  measured.go([=] {
    turnkey::wait_group about_to_wait;
    turnkey::wait_group opened;
    turnkey::wait_group all;
    about_to_wait.add(goroutines);
    opened.add();
    for (int i = 0; i < goroutines; ++i) {
      all.go([&] {
        about_to_wait.done();
        opened.wait();
        for (int k = 0; k < times; ++k) turnkey::this_goroutine::yield();
      });
    }
    about_to_wait.wait();
    const auto start = std::chrono::steady_clock::now();
    opened.done();
    all.wait();
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    std::printf("{\"value\":%f,\"figures\":[]}\n", elapsed.count() / goroutines / times);
  });
  measured.wait();
  std::fflush(stdout);
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string workload = argc > 1 ? argv[1] : "";
  if (workload == "parked" && argc == 3) {
    parked(std::atoi(argv[2]));
  } else if (workload == "yield" && argc == 4) {
    yield_together(std::atoi(argv[2]), std::atoi(argv[3]));
  } else {
    std::fprintf(stderr, "usage: turnkey_peer parked GOROUTINES | yield GOROUTINES TIMES\n");
    return 2;
  }
}
