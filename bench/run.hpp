// Running the suite, and what came out of it. For main.cpp; benchmarks need bench.hpp only.
#pragma once

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

#include "bench.hpp"

namespace bench {

// How one contender did: a sample a round, the same round at the same place for all contenders of a benchmark.
struct standing {
  std::string name;
  side from = side::other;
  std::vector<sample> samples;
};

struct result {
  benchmark what;
  std::vector<standing> standings;
};

struct plan {
  int rounds = 11;
  // For all of it; 0: no limit. If ten rounds of everything do not fit, what takes longest has three. Three are run in any case.
  std::chrono::duration<double> time{0};
};
constexpr int enough_rounds = 10;

// All that is registered, with these settings in force.
suite registered(const settings& chosen);

// Measures them all, telling on stderr how far it is. Throws what a contender throws.
std::vector<result> measure(const std::vector<benchmark>& all, const plan& how);

// The versions of the programs in peers/ that are there, and of what they are made of.
std::vector<std::string> peer_versions();

// Where it was measured, and in what company.
struct machine {
  unsigned cpus;
  std::string processor;
  std::string kernel;
  std::string memory;
  std::string date;
  std::string compiler;             // with its flags
  std::vector<std::string> rivals;  // name and version of each that takes part
  double load_before;               // how many threads wanted to run in the last minute
  double load_after = 0;
};
machine this_machine();
double current_load();

struct report {
  machine where;
  std::vector<result> results;
  std::string remark;  // what the reader must know about this run; may be empty
};

void print_table(const report& run);
void write_json(std::ostream& out, const report& run);
// The rows of README.md: id, work, ours, std, Go, the best of the others, floor, goals. Without what is a point of a curve
// only. Then how the curves of scale grow.
void write_markdown(std::ostream& out, const report& run);
// One file that needs no other: page.html with the JSON in it.
void write_html(std::ostream& out, const report& run);

}  // namespace bench
