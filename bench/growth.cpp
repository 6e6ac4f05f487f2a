#include "growth.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "statistics.hpp"

namespace bench {
namespace {

constexpr double constant_within = 0.05;

// The exponent between two places.
double slope(const place& from, const place& to) {
  return (std::log(to.value) - std::log(from.value)) / (std::log(to.at) - std::log(from.at));
}

// Medians along the curve that `first` begins: of the value, or of a figure.
std::vector<place> places_of(const report& run, const result& first, const std::string& contender,
                             std::optional<std::size_t> figure) {
  std::vector<place> all;
  for (const result& each : run.results) {
    if (!each.what.on || each.what.on->curve != first.what.on->curve) continue;
    const standing* one = named(each, contender);
    if (one != nullptr) all.push_back({each.what.on->at, median(figure ? figures_of(*one, *figure) : values_of(*one))});
  }
  return all;
}

void add_growth(std::vector<grown>& to, const report& run, const result& first, const standing& one,
                std::optional<std::size_t> figure) {
  const std::vector<place> places = places_of(run, first, one.name, figure);
  const std::optional<growth> law = fit(places);
  if (!law) return;
  to.push_back({first.what.on->curve, first.what.on->axis, one.name, one.from,
                figure ? first.what.figure_names[*figure] : first.what.unit, places.front(), places.back(), *law});
}

bool is_known(const std::vector<grown>& all, const std::string& curve, const std::string& contender) {
  return std::any_of(all.begin(), all.end(),
                     [&](const grown& each) { return each.curve == curve && each.contender == contender; });
}

}  // namespace

std::optional<growth> fit(std::vector<place> places) {
  std::erase_if(places, [](const place& each) { return !(each.at > 0) || !(each.value > 0); });  // a NaN is neither
  std::sort(places.begin(), places.end(), [](const place& a, const place& b) { return a.at < b.at; });
  if (places.empty() || places.front().at == places.back().at) return std::nullopt;

  const auto count = static_cast<double>(places.size());
  double mean_x = 0;
  double mean_y = 0;
  for (const place& each : places) {
    mean_x += std::log(each.at) / count;
    mean_y += std::log(each.value) / count;
  }
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (const place& each : places) {
    const double x = std::log(each.at) - mean_x;
    const double y = std::log(each.value) - mean_y;
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  growth law;
  law.exponent = xy / xx;
  law.factor = std::exp(mean_y - law.exponent * mean_x);
  // What is left of rounding is no variation.
  constexpr double rounding = 1e-20;
  if (yy > rounding * count) law.determination = std::min(1.0, xy * xy / (xx * yy));
  bool is_first = true;
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i].at == places[i - 1].at) continue;
    const double rise = slope(places[i - 1], places[i]);
    if (!is_first && rise <= law.steepest) continue;
    is_first = false;
    law.steepest = rise;
    law.from = places[i - 1];
    law.to = places[i];
  }
  return law;
}

std::string in_words(const growth& law) {
  if (std::abs(law.exponent) < constant_within) return "constant";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "~ n^%.2f", law.exponent);
  return text.data();
}

std::vector<grown> growths(const report& run) {
  std::vector<grown> all;
  for (const result& each : run.results) {
    if (!each.what.on || !each.what.on->is_scale) continue;
    for (const standing& one : each.standings) {
      if (is_known(all, each.what.on->curve, one.name)) continue;  // an earlier point has begun the curve
      add_growth(all, run, each, one, std::nullopt);
      for (std::size_t i = 0; i < each.what.figure_names.size(); ++i) add_growth(all, run, each, one, i);
    }
  }
  return all;
}

}  // namespace bench
