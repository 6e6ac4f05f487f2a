#include "bench.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <tuple>

#include "run.hpp"

namespace bench {
namespace {

std::vector<void (*)(suite&)>& registrations() {
  static std::vector<void (*)(suite&)> all;
  return all;
}

settings& settings_in_force() {
  static settings one;
  return one;
}

// On a terminal one line that changes; elsewhere one line a benchmark.
void show_progress(const benchmark& what, const std::string& contender, int round, int rounds) {
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  if (is_terminal) {
    std::fprintf(stderr, "\r\033[K%s  round %d of %d  %s", what.id.c_str(), round, rounds, contender.c_str());
  } else if (round == 0 && contender == what.contenders.front().name) {
    std::fprintf(stderr, "%s ...\n", what.id.c_str());
  }
}

void clear_progress() {
  if (isatty(STDERR_FILENO) == 1) std::fputs("\r\033[K", stderr);
}

}  // namespace

void suite::add(benchmark one) {
  for (const contender& each : one.contenders) {
    if (!each.measure) one.left_out.push_back(each.name);
  }
  std::erase_if(one.contenders, [](const contender& each) { return !each.measure; });
  all_.push_back(std::move(one));
}

void suite::sort() {
  // P2 before P10, P3.8 before P3.64; parts with names, such as P11.buffered, stay in the order in which they came.
  const auto number = [](const benchmark& one) {
    const std::size_t dot = one.id.find('.');
    return std::make_tuple(one.id.front() != 'P', std::atoi(one.id.c_str() + 1),
                           dot == std::string::npos ? 0 : std::atoi(one.id.c_str() + dot + 1));
  };
  std::stable_sort(all_.begin(), all_.end(),
                   [&](const benchmark& a, const benchmark& b) { return number(a) < number(b); });
}

registration::registration(void (*add_to)(suite&)) { registrations().push_back(add_to); }

suite registered(const settings& chosen) {
  settings_in_force() = chosen;
  suite all;
  for (const auto add_to : registrations()) add_to(all);
  all.sort();
  return all;
}

const settings& current_settings() { return settings_in_force(); }

result measure(const benchmark& what, const plan& how) {
  result all{what, {}};
  for (const contender& each : what.contenders) all.standings.push_back({each.name, each.from, {}});
  const std::size_t count = what.contenders.size();
  const auto start = clock::now();
  for (int round = 0; round <= how.rounds; ++round) {  // round 0 warms up
    const bool is_over = how.time.count() > 0 && clock::now() - start > how.time;
    if (round > 3 && is_over) break;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t turn = (i + static_cast<std::size_t>(round)) % count;
      show_progress(what, what.contenders[turn].name, round, how.rounds);
      sample taken = what.contenders[turn].measure();
      if (round > 0) all.standings[turn].samples.push_back(std::move(taken));
    }
  }
  clear_progress();
  return all;
}

std::uint64_t private_work(std::uint64_t seed, int steps) {
  for (int i = 0; i < steps; ++i) seed = seed * 6364136223846793005U + 1442695040888963407U;
  return seed;
}

int private_work_steps() {
  static const int steps = [] {
    constexpr int many = 4'000'000;
    double fastest = 1000;
    for (int attempt = 0; attempt < 5; ++attempt) {
      const auto start = clock::now();
      keep(private_work(1, many));
      fastest = std::min(fastest, nanoseconds_since(start) / many);
    }
    return std::max(1, static_cast<int>(std::lround(18 / fastest)));
  }();
  return steps;
}

void pin_thread(int index) {
  if (!current_settings().is_pinned) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(index) % std::max(1U, std::thread::hardware_concurrency()), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace bench
