#include "bench.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string_view>
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

// How far it is, on stderr: a bar on a terminal, else a line for each round.
class progress {
 public:
  // So many measurements in all; may be said again when more is known.
  void expect(std::size_t measurements) { expected_ = measurements; }

  void begin_round(int round, int rounds) {
    round_ = round;
    rounds_ = rounds;
    if (is_terminal_) return;
    if (round == 0) {
      std::fprintf(stderr, "a first round that is not counted\n");
    } else {
      std::fprintf(stderr, "round %d of %d, after %s\n", round, rounds, text_of(elapsed()).c_str());
    }
  }

  void next(const std::string& benchmark, const std::string& contender) {
    ++done_;
    if (!is_terminal_) return;
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(expected_));
    constexpr std::size_t width = 24;
    const auto filled = static_cast<std::size_t>(share * width);
    const std::string left = round_ > 0 ? ", " + text_of(elapsed() * (1 / share - 1)) + " left" : "";
    std::fprintf(stderr, "\r\033[K[%s%s] %3.0f %%%s  round %d of %d  %s %.30s", std::string(filled, '#').c_str(),
                 std::string(width - filled, '.').c_str(), share * 100, left.c_str(), round_, rounds_,
                 benchmark.c_str(), contender.c_str());
  }

  void end() const {
    if (is_terminal_) std::fputs("\r\033[K", stderr);
  }

  [[nodiscard]] double elapsed() const { return nanoseconds_since(start_) / 1e9; }

 private:
  static std::string text_of(double seconds) {
    std::array<char, 32> text{};
    const int whole = static_cast<int>(seconds);
    std::snprintf(text.data(), text.size(), "%d:%02d", whole / 60, whole % 60);
    return text.data();
  }

  const bool is_terminal_ = isatty(STDERR_FILENO) == 1;
  const clock::time_point start_ = clock::now();
  std::size_t expected_ = 1;
  std::size_t done_ = 0;
  int round_ = 0;
  int rounds_ = 0;
};

constexpr int least_rounds = 3;

// How many rounds each benchmark gets of so many that are wanted, when a round of it takes so many seconds and so many are left. If not
// even ten of all fit, those that take longest get three, one after the other, until ten of the rest do.
std::vector<int> rounds_within(const std::vector<double>& costs, double left, int wanted) {
  const int least = std::min(least_rounds, wanted);
  const int enough = std::min(enough_rounds, wanted);
  std::vector<std::size_t> dearest_first(costs.size());
  std::iota(dearest_first.begin(), dearest_first.end(), 0U);
  std::sort(dearest_first.begin(), dearest_first.end(),
            [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<int> rounds(costs.size(), least);
  double of_rest = std::accumulate(costs.begin(), costs.end(), 0.0);
  for (std::size_t dear = 0; dear < costs.size(); ++dear) {
    const double fit = std::min(left / of_rest, static_cast<double>(wanted));
    if (fit >= enough || dear + 1 == costs.size()) {
      for (std::size_t i = dear; i < costs.size(); ++i) {
        rounds[dearest_first[i]] = std::max(least, static_cast<int>(fit));
      }
      break;
    }
    left -= least * costs[dearest_first[dear]];
    of_rest -= costs[dearest_first[dear]];
    if (left <= 0) break;  // there will be three of each
  }
  return rounds;
}

// Whether one that takes part in `its` of so many rounds, evenly, does so in this one.
bool takes_part(int round, int its, int rounds) { return round * its / rounds > (round - 1) * its / rounds; }

// One round of one benchmark; the contenders begin with another one each time.
void measure_once(result& one, int round, progress& shown) {
  const std::size_t count = one.what.contenders.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = (i + static_cast<std::size_t>(round)) % count;
    shown.next(one.what.id, one.what.contenders[turn].name);
    sample taken = one.what.contenders[turn].measure();
    if (round > 0) one.standings[turn].samples.push_back(std::move(taken));
  }
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
  // P2 before P10, P3.8 before P3.64, P12 before P12.w1; parts with names, such as P11.buffered, come in the order in which they
  // were added.
  const auto number = [](const benchmark& one) {
    const std::size_t dot = one.id.find('.');
    return std::make_tuple(std::string_view("PCS").find(one.id.front()), std::atoi(one.id.c_str() + 1),
                           one.id.find(".w") != std::string::npos,
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

std::vector<result> measure(const std::vector<benchmark>& all, const plan& how) {
  std::vector<result> results;
  std::size_t contenders = 0;
  for (const benchmark& each : all) {
    results.push_back({each, {}});
    for (const contender& one : each.contenders) results.back().standings.push_back({one.name, one.from, {}});
    contenders += each.contenders.size();
  }
  progress shown;
  shown.expect(contenders * (static_cast<std::size_t>(how.rounds) + 1));

  // Round 0 warms up, and tells what a round takes.
  std::vector<double> costs;
  shown.begin_round(0, how.rounds);
  for (result& each : results) {
    const double before = shown.elapsed();
    measure_once(each, 0, shown);
    costs.push_back(shown.elapsed() - before);
  }
  const bool is_limited = how.time.count() > 0;
  std::vector<int> its_rounds(results.size(), how.rounds);
  if (is_limited) its_rounds = rounds_within(costs, how.time.count() - shown.elapsed(), how.rounds);
  const int rounds = *std::max_element(its_rounds.begin(), its_rounds.end());
  std::size_t expected = contenders;
  for (std::size_t i = 0; i < results.size(); ++i) {
    expected += all[i].contenders.size() * static_cast<std::size_t>(its_rounds[i]);
  }
  shown.expect(expected);

  for (int round = 1; round <= rounds; ++round) {
    shown.begin_round(round, rounds);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (takes_part(round, its_rounds[i], rounds)) measure_once(results[i], round, shown);
    }
  }
  shown.end();
  return results;
}

void use_workers(int count) {
  turnkey::set_max_procs(count);
  setenv("GOMAXPROCS", std::to_string(count).c_str(), 1);  // NOLINT(concurrency-mt-unsafe): only this thread does
}

void leave_out_unless_room_for(benchmark& one, int goroutines) {
  const auto bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (goroutines * 6144.0 < bytes / 2) return;
  for (contender& each : one.contenders) {
    each.name += " (too little memory)";
    each.measure = nullptr;
  }
}

void measure_with_workers(benchmark& one, int workers) {
  for (contender& each : one.contenders) {
    if (!each.measure) continue;
    each.measure = [measure = each.measure, workers] {
      use_workers(workers);
      sample taken = measure();
      use_workers(current_settings().procs);
      return taken;
    };
  }
}

void add_by_workers(suite& all, const benchmark& one) {
  for (const int workers : {1, 2, 4, 16}) {
    benchmark part = one;
    part.id += ".w" + std::to_string(workers);
    part.question += "; " + std::to_string(workers) + (workers == 1 ? " worker" : " workers");
    part.goals.clear();
    part.on = point{one.id + ": " + one.question, "workers", static_cast<double>(workers)};
    measure_with_workers(part, workers);
    all.add(std::move(part));
  }
}

std::uint64_t private_work(std::uint64_t seed, int steps) {
  for (int i = 0; i < steps; ++i) seed = seed * 6364136223846793005U + 1442695040888963407U;
  return seed;
}

int private_work_steps(double nanoseconds) {
  static const double each = [] {
    constexpr int many = 4'000'000;
    double fastest = 1000;
    for (int attempt = 0; attempt < 5; ++attempt) {
      const auto start = clock::now();
      keep(private_work(1, many));
      fastest = std::min(fastest, nanoseconds_since(start) / many);
    }
    return fastest;
  }();
  return std::max(1, static_cast<int>(std::lround(nanoseconds / each)));
}

void pin_thread(int index) {
  if (current_settings().is_pinned) pin_thread_always(index);
}

void pin_thread_always(int index) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(index) % std::max(1U, std::thread::hardware_concurrency()), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace bench
