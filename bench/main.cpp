// turnkey_bench -- the library beside std, Go and others, on the same work, interleaved, in one table.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>
#include <turnkey/turnkey.hpp>

#include "run.hpp"

namespace {

// A program that never had a second thread is not what anyone wants measured: the C library skips its atomic
// instructions there, and std::mutex costs a fifth.
class second_thread {
 public:
  ~second_thread() {
    {
      const std::scoped_lock hold(mu_);
      is_over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool is_over_ = false;
  std::thread thread_{[this] {
    std::unique_lock hold(mu_);
    changed_.wait(hold, [this] { return is_over_; });
  }};
};

// "P3" chooses P3.2, P3.8 and P3.64 as well.
bool is_chosen(const std::string& id, const std::vector<std::string>& names) {
  return names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
           return id == name || id.starts_with(name + ".");
         });
}

int run(const std::vector<bench::benchmark>& chosen, const bench::plan& how, const std::string& json) {
  const bench::machine where = bench::this_machine();
  const second_thread alive;
  std::vector<bench::result> results;
  for (const bench::benchmark& each : chosen) results.push_back(bench::measure(each, how));
  bench::print_table(where, results);
  if (!json.empty()) {
    std::ofstream file(json);
    bench::write_json(file, where, results);
    if (!file.flush()) throw std::runtime_error("cannot write " + json);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::settings chosen{.procs = turnkey::max_procs()};
  bench::plan how;
  std::vector<std::string> names;
  std::string json;
  double seconds = 0;
  bool only_list = false;
  CLI::App options("Measures turnkey, std, Go and others on the same work: interleaved rounds, medians, ratios.");
  options.add_option("benchmark", names, "only these, such as P1 P3.8");
  options.add_option("-r,--rounds", how.rounds, "rounds that are counted")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  options.add_option("-t,--time", seconds, "seconds for all of it: fewer rounds, but three at least");
  options.add_option("-p,--procs", chosen.procs, "workers, and Go's GOMAXPROCS")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  options.add_flag("--pin", chosen.is_pinned, "keep each OS thread of P3, P13 and C4 on one CPU");
  options.add_option("-j,--json", json, "write all samples to this file");
  options.add_flag("-l,--list", only_list, "list the benchmarks");
  CLI11_PARSE(options, argc, argv);

  turnkey::set_max_procs(chosen.procs);
  setenv("GOMAXPROCS", std::to_string(chosen.procs).c_str(), 1);
  std::vector<bench::benchmark> benchmarks = bench::registered(chosen).all();
  for (const std::string& name : names) {
    if (std::none_of(benchmarks.begin(), benchmarks.end(),
                     [&](const auto& one) { return is_chosen(one.id, {name}); })) {
      std::fprintf(stderr, "there is no benchmark %s; --list shows them\n", name.c_str());
      return 2;
    }
  }
  std::erase_if(benchmarks, [&](const bench::benchmark& one) { return !is_chosen(one.id, names); });
  if (only_list) {
    for (const auto& one : benchmarks)
      std::printf("%-14s %s, %s\n", one.id.c_str(), one.question.c_str(), one.unit.c_str());
    return 0;
  }
  how.time = std::chrono::duration<double>(seconds / static_cast<double>(benchmarks.size()));
  try {
    return run(benchmarks, how, json);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "turnkey_bench: %s\n", failure.what());
    return 1;
  }
}
