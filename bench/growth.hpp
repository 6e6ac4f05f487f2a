// How the figures of a curve grow with what its axis counts: the power law that fits them best.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run.hpp"

namespace bench {

// A point of a curve.
struct place {
  double at = 0;
  double value = 0;
};

// value = factor * at ^ exponent, by least squares on the logarithms of both.
struct growth {
  double exponent = 0;
  double factor = 0;
  double determination =
      1;  // r squared: the part of the values' variation that the law explains; 1 if there is no variation
  // Where it rises most: the exponent between two neighbours. A law through all points would hide a step.
  double steepest = 0;
  place from = {};
  place to = {};
};

// A logarithm needs positive numbers: places without are passed over. Nothing if fewer than two different ones are left. In
// whatever order.
std::optional<growth> fit(std::vector<place> places);

// "constant" if the exponent is within .05 of 0, else "~ n^0.33".
std::string in_words(const growth& law);

// A contender's growth along a curve, of the value or of a figure beside it.
struct grown {
  std::string curve;
  std::string axis;
  std::string contender;
  side from = side::other;
  std::string of;  // the unit, or the figure's name
  place first;     // the ends of the curve
  place last;
  growth law;
};

// Of the medians of all curves whose growth is asked for (point::is_scale), in the order of the rows.
std::vector<grown> growths(const report& run);

}  // namespace bench
