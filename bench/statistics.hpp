// What the samples of a run say. For the reports.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run.hpp"

namespace bench {

int rounds_of(const result& one);
int rounds_of(const report& run);  // the most that a benchmark had

// The value that the part `share` of all lies below. Not a number if there are none.
double quantile(std::vector<double> values, double share);
double median(std::vector<double> values);

std::vector<double> values_of(const standing& one);
std::vector<double> figures_of(const standing& one, std::size_t figure);

const standing* first_of(const result& all, side from);
const standing* named(const result& all, const std::string& name);
bool is_ours(const standing& one);

// The median of one's value over another's, round by round, as both saw the same machine in a round. Nothing if the rival
// is missing, or it is this one itself.
std::optional<double> ratio(const standing& one, const standing* rival);
// To the first from there; to whoever was best in each round for any_rival.
std::optional<double> ratio(const result& all, const standing& one, side rival);

// The one from there with the best median; null if there is none.
const standing* best_of(const result& all, side from);

// What a goal came to.
struct verdict {
  std::string aim;     // "at most 0.50 x std"
  std::string name;    // whose
  double reached = 0;  // in the goal's terms
  bool is_met = false;
};
// For each of ours; none for goals whose rival is missing.
std::vector<verdict> verdicts(const result& all);

// Three digits that mean something.
std::string number(double value);
std::string number(std::optional<double> value);

}  // namespace bench
