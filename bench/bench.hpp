// The frame of the benchmarks: a question, its contenders, and who is measured when.
//
// A benchmark is a file NAME_bench.cpp with a registration at its end:
//
//   const bench::registration lock([](bench::suite& suite) {
//     suite.add({.id = "P1", .question = "...", .unit = "ns",
//                .contenders = {{"turnkey", side::ours, f}, {"std::mutex", side::standard, g}, go_peer("sync.Mutex", "mutex")}});
//   });
//
// Every round goes through all benchmarks and measures each of their contenders once, in an order that rotates: a machine
// that changes its mind hits them all alike. One round before is not counted. A ratio is the median of the rounds' own
// ratios.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <turnkey/turnkey.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace bench {

// What the command line says, for the benchmarks to heed.
struct settings {
  int procs = 0;                            // workers: ours, and Go's Ps
  bool is_pinned = false;                   // OS threads stay on one CPU each
  std::chrono::milliseconds duration{200};  // of a measurement that runs for a time, not for a count
  std::chrono::milliseconds glance{30};     // the same, where the measurement is one of very many
};
const settings& current_settings();

// One measurement. The value is in the benchmark's unit; the figures beside it are in the order of figure_names.
struct sample {
  double value = 0;
  std::vector<double> figures = {};
};

// also_ours: ours as well, but the goals are not about it. floor: no rival, but the least that this machine could do it with, such
// as the same work without a lock. any_rival: for goals only, whoever of the others did best.
enum class side { ours, also_ours, standard, go, other, floor, any_rival };

struct contender {
  std::string name;
  side from = side::other;
  std::function<sample()> measure;  // empty: cannot be measured here, because what it needs is not installed
};

// What we want to be true of each contender of ours.
struct goal {
  enum class relation { at_most, at_least };
  relation is = relation::at_most;
  double limit = 0;
  side against = side::ours;  // the limit is a ratio to the first from there; `ours`: the limit is absolute
  std::string figure = {};    // the figure it is about; empty: the value
};

// Benchmarks with the same curve are its points.
struct point {
  std::string curve;  // its title
  std::string axis;   // what `at` counts
  double at = 0;
  // One of S: how it grows with `at` is fitted, and it is measured only if it is asked for.
  bool is_scale = false;
};

// Two contenders, by name, whose ratio is of interest by itself.
struct comparison {
  std::string name;
  std::string of;
  std::string over;
};

struct benchmark {
  std::string id;        // "P3", or "P3.8" for a part that can be chosen by itself
  std::string question;  // what is measured, in a line
  std::string unit;
  bool is_more_better = false;
  std::vector<std::string> figure_names = {};
  std::vector<goal> goals = {};
  std::vector<contender> contenders = {};
  std::optional<point> on = {};
  std::vector<comparison> comparisons = {};
  std::vector<std::string> left_out = {};  // filled in by suite::add
};

class suite {
 public:
  // A contender that cannot be measured here is left out, and named in the report.
  void add(benchmark one);
  [[nodiscard]] const std::vector<benchmark>& all() const noexcept { return all_; }
  // In the order of their numbers, P before C before S.
  void sort();

 private:
  std::vector<benchmark> all_;
};

// Adds benchmarks to the suite. One object at namespace scope in each NAME_bench.cpp.
class registration {
 public:
  explicit registration(void (*add_to)(suite&));
};

// A case of a program in peers/, with its parameters. Each measurement is a process of its own, which warms up, measures
// and prints one line; starting it is not measured. Cannot be measured where the program was not built. own_peer is ours:
// for what can be measured once in a process only, or depends on the environment, which is empty or "NAME=value".
struct own_process {
  side from = side::ours;
  std::string environment = {};
};
contender own_peer(const std::string& name, const std::string& workload,
                   const std::vector<std::int64_t>& parameters = {}, const own_process& how = {});
contender go_peer(const std::string& name, const std::string& workload,
                  const std::vector<std::int64_t>& parameters = {});
contender rust_peer(const std::string& name, const std::string& workload,
                    const std::vector<std::int64_t>& parameters = {});
contender boost_peer(const std::string& name, const std::string& workload,
                     const std::vector<std::int64_t>& parameters = {});
// Boost.Fiber on one worker, and on as many as we have: a step from one to the other may cost a hundred times as much, so
// there the last parameter, the count, is a fifth. Its best setting differs from row to row, so both are shown.
void add_boost_peers(benchmark& to, const std::string& workload, std::vector<std::int64_t> parameters);

// Leaves everybody out, and says so, unless so many goroutines of a page and a half each fit into half of the machine's memory.
void leave_out_unless_room_for(benchmark& one, int goroutines);

// Each measurement of it is with so many workers.
void measure_with_workers(benchmark& one, int workers);
// The same benchmark by number of workers, 1, 2, 4 and 16: P12 becomes P12.w1 and so on.
void add_by_workers(suite& all, const benchmark& one);

// ---- for the measured code -----------------------------------------------------------------------------------------

using clock = std::chrono::steady_clock;

inline double nanoseconds_since(clock::time_point start) {
  return std::chrono::duration<double, std::nano>(clock::now() - start).count();
}

// Makes the compiler believe that the value is used.
inline void keep(std::uint64_t value) { asm volatile("" : : "r"(value)); }
// Makes the compiler believe that all memory was read and written here.
inline void touch_memory() { asm volatile("" : : : "memory"); }

// How many workers we have, and how many Ps Go programs have that are started from now on.
void use_workers(int count);

// Nanoseconds that each of `count` calls of f takes.
template <class F>
double time_each(std::int64_t count, F&& f) {
  const auto start = clock::now();
  for (std::int64_t i = 0; i < count; ++i) f();
  return nanoseconds_since(start) / static_cast<double>(count);
}

// Runs f in a goroutine and hands its result to the caller. In a Go program main itself is a goroutine.
template <class F>
auto in_goroutine(F&& f) {
  std::invoke_result_t<F&> result{};
  turnkey::wait_group done;
  done.go([&] { result = f(); });
  done.wait();
  return result;
}

// Starts so many goroutines that do nothing, and waits for them.
inline void start_and_wait(int goroutines) {
  turnkey::wait_group all;
  for (int i = 0; i < goroutines; ++i) {
    all.add();
    turnkey::go([&all] { all.done(); });
  }
  all.wait();
}

// What a wait_group is to goroutines, for OS threads.
class thread_group {
 public:
  template <class F>
  void go(F&& f) {
    all_.emplace_back(std::forward<F>(f));
  }
  void wait() {
    for (std::thread& each : all_) each.join();
    all_.clear();
  }

 private:
  std::vector<std::thread> all_;
};

// What a thread does between two critical sections: a chain of dependent multiplications, which takes equally long in
// every language. private_work_steps(18) of them take 18 ns on this machine.
[[gnu::noinline]] std::uint64_t private_work(std::uint64_t seed, int steps);
int private_work_steps(double nanoseconds = 18);

// Keeps the calling thread on CPU `index` modulo their number, if settings::is_pinned; or whether it is or not, where two that share
// a CPU would be no measurement.
void pin_thread(int index);
void pin_thread_always(int index);

// A thing with its cache line, and the one that the processor fetches along with it, to itself.
template <class T>
struct alignas(128) apart {
  T value{};
};

}  // namespace bench
