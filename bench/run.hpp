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
  std::chrono::duration<double> time{0};  // for each benchmark; 0: no limit. Three rounds are run in any case.
};

// All that is registered, with these settings in force.
suite registered(const settings& chosen);

// Measures one benchmark, telling on stderr how far it is. Throws what a contender throws.
result measure(const benchmark& what, const plan& how);

// The version of the Go program's runtime; empty if there is no Go program.
std::string go_version();

// Where it was measured, and in what company.
struct machine {
  unsigned cpus;
  std::string processor;
  std::string kernel;
  double load;     // how many threads wanted to run in the last minute
  std::string go;  // see go_version
};
machine this_machine();

void print_table(const machine& where, const std::vector<result>& results);
void write_json(std::ostream& out, const machine& where, const std::vector<result>& results);

}  // namespace bench
