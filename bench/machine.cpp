// Where and with what was it measured.
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "rivals.hpp"
#include "run.hpp"

namespace bench {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

std::string kernel() {
  utsname name{};
  return uname(&name) == 0 ? std::string(name.sysname) + " " + name.release + " " + name.machine : "unknown kernel";
}

std::string memory() {
  const auto bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.0f GiB", bytes / (1 << 30));
  return text.data();
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &parts));
  return text.data();
}

std::string compiler() {
#ifdef __clang__
  const std::string name = __VERSION__;
#else
  const std::string name = "GCC " __VERSION__;
#endif
  return name + " " TURNKEY_BENCH_FLAGS;
}

std::vector<std::string> rivals() {
  std::vector<std::string> all = rival_versions();
  for (std::string& each : peer_versions()) all.push_back(std::move(each));
  return all;
}

}  // namespace

double current_load() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

machine this_machine() {
  return {std::thread::hardware_concurrency(),
          processor(),
          kernel(),
          memory(),
          date(),
          compiler(),
          rivals(),
          current_load()};
}

}  // namespace bench
