// turnkey_bench -- the library beside std, Go and others, on the same work, interleaved, in one table.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <turnkey/turnkey.hpp>

#include "statistics.hpp"

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

bool is_of_scale(const bench::benchmark& one) { return one.on && one.on->is_scale; }

// "P3" means P3.2, P3.8 and P3.64 as well.
bool is_meant(const bench::benchmark& one, const std::string& name) {
  return one.id == name || one.id.starts_with(name + ".");
}

// No names choose all but the curves of scale.
bool is_chosen(const bench::benchmark& one, const std::vector<std::string>& names, bool with_scale) {
  if (is_of_scale(one) && with_scale) return true;
  if (names.empty()) return !with_scale && !is_of_scale(one);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return is_meant(one, name); });
}

// Where the results go, besides the terminal; empty: nowhere.
struct outputs {
  std::string json = "build/bench/bench.json";
  std::string markdown = "build/bench/bench.md";
  std::string html = "build/bench/bench.html";
};

// What the reader must know before the figures.
std::string remark_on(const bench::report& run) {
  std::string text;
  std::size_t few = 0;
  for (const bench::result& each : run.results) {
    const int rounds = bench::rounds_of(each);
    if (rounds > 0 && rounds < bench::enough_rounds) ++few;
  }
  if (few > 0) {
    text = (few == run.results.size() ? "No row has" : std::to_string(few) + " rows do not have") +
           std::string(" ten rounds: take their medians for rough.");
  }
  if (run.where.load_before > 0.5 * run.where.cpus) {
    text += std::string(text.empty() ? "" : " ") + "Others used this machine when it began: trust no figure.";
  }
  return text;
}

void list(const std::vector<bench::benchmark>& all) {
  const auto print = [&](bool of_scale) {
    for (const bench::benchmark& one : all) {
      if (is_of_scale(one) == of_scale)
        std::printf("%-14s %s, %s\n", one.id.c_str(), one.question.c_str(), one.unit.c_str());
    }
  };
  print(false);
  std::printf("\nOnly with --scale, or by name:\n");
  print(true);
}

void write(const std::string& path, void (*writer)(std::ostream&, const bench::report&), const bench::report& run) {
  if (path.empty()) return;
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) {
    std::filesystem::create_directories(folder);
  }
  std::ofstream file(path);
  writer(file, run);
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
  std::printf("%s\n", path.c_str());
}

void run(const std::vector<bench::benchmark>& chosen, const bench::plan& how, const outputs& to) {
  bench::report report{.where = bench::this_machine(), .results = {}, .remark = {}};
  const second_thread alive;
  report.results = bench::measure(chosen, how);
  report.where.load_after = bench::current_load();
  report.remark = remark_on(report);
  bench::print_table(report);
  std::printf("\n");
  write(to.json, bench::write_json, report);
  write(to.markdown, bench::write_markdown, report);
  write(to.html, bench::write_html, report);
}

}  // namespace

int main(int argc, char** argv) {
  bench::settings chosen{.procs = turnkey::max_procs()};
  bench::plan how;
  outputs to;
  std::vector<std::string> names;
  double seconds = 0;
  bool only_list = false;
  bool with_scale = false;
  CLI::App options("Measures turnkey, std, Go and others on the same work: interleaved rounds, medians, ratios.");
  options.add_option("benchmark", names, "only these, such as P1 P3.8");
  options.add_option("-r,--rounds", how.rounds, "rounds that are counted")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  options
      .add_option("-t,--time", seconds,
                  "for all of it, such as 90s or 5m: fewer rounds, of what takes longest first; three at least")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}}));
  options.add_option("-p,--procs", chosen.procs, "workers, and Go's GOMAXPROCS")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  options.add_flag("--pin", chosen.is_pinned, "keep each OS thread of P3, P5, P13 and C1 to C4 on one CPU");
  options.add_option("-j,--json", to.json, "where all samples go; \"\": nowhere")->capture_default_str();
  options.add_option("--markdown", to.markdown, "where a table goes")->capture_default_str();
  options.add_option("--html", to.html, "where a page with plots goes")->capture_default_str();
  options.add_flag("-s,--scale", with_scale, "how the figures grow: the rows of S, besides those that are named");
  options.add_flag("-l,--list", only_list, "list the benchmarks");
  CLI11_PARSE(options, argc, argv);

  bench::use_workers(chosen.procs);
  std::vector<bench::benchmark> benchmarks = bench::registered(chosen).all();
  for (const std::string& name : names) {
    if (std::none_of(benchmarks.begin(), benchmarks.end(), [&](const auto& one) { return is_meant(one, name); })) {
      std::fprintf(stderr, "there is no benchmark %s; --list shows them\n", name.c_str());
      return 2;
    }
  }
  if (only_list) {
    list(benchmarks);
    return 0;
  }
  std::erase_if(benchmarks, [&](const bench::benchmark& one) { return !is_chosen(one, names, with_scale); });
  how.time = std::chrono::duration<double>(seconds);
  try {
    run(benchmarks, how, to);
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "turnkey_bench: %s\n", failure.what());
    return 1;
  }
}
