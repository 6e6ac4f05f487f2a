#include "statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace bench {
namespace {

std::string name_of(const result& all, side rival) {
  switch (rival) {
    case side::standard: return "std";
    case side::go: return "Go";
    case side::any_rival: return "the best rival";
    default: return first_of(all, rival)->name;
  }
}

bool is_rival(const standing& one) { return !is_ours(one) && one.from != side::floor; }

bool is_better(const result& all, double a, double b) { return all.what.is_more_better ? a > b : a < b; }

// A rival that in each round was as good as the best of them.
std::optional<standing> best_in_each_round(const result& all) {
  std::optional<standing> best;
  for (const standing& one : all.standings) {
    if (!is_rival(one)) continue;
    if (!best) best = one;
    for (std::size_t round = 0; round < one.samples.size(); ++round) {
      if (is_better(all, one.samples[round].value, best->samples[round].value))
        best->samples[round] = one.samples[round];
    }
  }
  return best;
}

std::string text_of(const result& all, const goal& aim) {
  return (aim.figure.empty() ? "" : aim.figure + " ") + (aim.is == goal::relation::at_most ? "at most " : "at least ") +
         number(aim.limit) + (aim.against == side::ours ? "" : " x " + name_of(all, aim.against));
}

std::optional<double> reached_by(const result& all, const standing& one, const goal& aim) {
  if (aim.against != side::ours) return ratio(all, one, aim.against);
  if (aim.figure.empty()) return median(values_of(one));
  const auto& names = all.what.figure_names;
  const auto figure = std::find(names.begin(), names.end(), aim.figure) - names.begin();
  return median(figures_of(one, static_cast<std::size_t>(figure)));
}

}  // namespace

int rounds_of(const result& one) {
  return one.standings.empty() ? 0 : static_cast<int>(one.standings.front().samples.size());
}

int rounds_of(const report& run) {
  int most = 0;
  for (const result& each : run.results) most = std::max(most, rounds_of(each));
  return most;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

std::vector<double> values_of(const standing& one) {
  std::vector<double> values;
  for (const sample& taken : one.samples) values.push_back(taken.value);
  return values;
}

std::vector<double> figures_of(const standing& one, std::size_t figure) {
  std::vector<double> values;
  for (const sample& taken : one.samples) {
    if (figure < taken.figures.size()) values.push_back(taken.figures[figure]);
  }
  return values;
}

const standing* first_of(const result& all, side from) {
  const auto found =
      std::find_if(all.standings.begin(), all.standings.end(), [&](const standing& one) { return one.from == from; });
  return found == all.standings.end() ? nullptr : &*found;
}

const standing* named(const result& all, const std::string& name) {
  const auto found =
      std::find_if(all.standings.begin(), all.standings.end(), [&](const standing& one) { return one.name == name; });
  return found == all.standings.end() ? nullptr : &*found;
}

bool is_ours(const standing& one) { return one.from == side::ours || one.from == side::also_ours; }

std::optional<double> ratio(const standing& one, const standing* rival) {
  if (rival == nullptr || rival == &one) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t round = 0; round < one.samples.size(); ++round) {
    ratios.push_back(one.samples[round].value / rival->samples[round].value);
  }
  return median(std::move(ratios));
}

std::optional<double> ratio(const result& all, const standing& one, side rival) {
  if (rival != side::any_rival) return ratio(one, first_of(all, rival));
  const std::optional<standing> best = best_in_each_round(all);
  return ratio(one, best ? &*best : nullptr);
}

const standing* best_of(const result& all, side from) {
  const standing* best = nullptr;
  for (const standing& one : all.standings) {
    if (one.from != from) continue;
    if (best == nullptr || is_better(all, median(values_of(one)), median(values_of(*best)))) best = &one;
  }
  return best;
}

std::vector<verdict> verdicts(const result& all) {
  std::vector<verdict> list;
  for (const goal& aim : all.what.goals) {
    for (const standing& one : all.standings) {
      if (one.from != side::ours) continue;
      const std::optional<double> reached = reached_by(all, one, aim);
      if (!reached) continue;
      const bool is_met = aim.is == goal::relation::at_most ? *reached <= aim.limit : *reached >= aim.limit;
      list.push_back({text_of(all, aim), one.name, *reached, is_met});
    }
  }
  return list;
}

std::string number(double value) {
  std::array<char, 32> text{};
  if (std::isnan(value)) return "-";
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 || value < 0.00005 ? 2 : 4;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string number(std::optional<double> value) { return value ? number(*value) : ""; }

}  // namespace bench
