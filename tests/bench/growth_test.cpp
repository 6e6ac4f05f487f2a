// What the benchmarks say about growth: the fit of a power law, its words, and which curves it is about.
#include "growth.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace {

using bench::fit;
using bench::growth;
using bench::in_words;
using bench::place;

// factor * at ^ exponent, at powers of ten.
std::vector<place> law(double factor, double exponent, int points = 7) {
  std::vector<place> all;
  for (int i = 0; i < points; ++i) {
    const double at = std::pow(10.0, i);
    all.push_back({at, factor * std::pow(at, exponent)});
  }
  return all;
}

TEST(Growth, APowerLawIsFoundExactly) {
  for (const double exponent : {-1.0, -0.25, 0.5, 1.0, 2.0}) {
    for (const double factor : {0.001, 3.0, 1e6}) {
      const std::optional<growth> found = fit(law(factor, exponent));
      ASSERT_TRUE(found);
      EXPECT_NEAR(found->exponent, exponent, 1e-9);
      EXPECT_NEAR(found->factor / factor, 1, 1e-9);
      EXPECT_NEAR(found->determination, 1, 1e-9);
      EXPECT_NEAR(found->steepest, exponent, 1e-9);
    }
  }
}

TEST(Growth, AConstantHasNoExponentAndIsFullyExplained) {
  const std::optional<growth> found = fit(law(0.3, 0));
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->exponent, 0, 1e-12);
  EXPECT_NEAR(found->factor, 0.3, 1e-12);
  EXPECT_EQ(found->determination, 1);
  EXPECT_EQ(in_words(*found), "constant");
}

TEST(Growth, ValuesThatGoUpAndDownAreHardlyExplained) {
  const std::optional<growth> found = fit({{1, 10}, {10, 20}, {100, 20}, {1000, 10}});
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->exponent, 0, 1e-12);
  EXPECT_NEAR(found->determination, 0, 1e-12);
}

TEST(Growth, TwoPointsAreALaw) {
  const std::optional<growth> found = fit({{1, 5}, {2, 10}});
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->exponent, 1, 1e-12);
  EXPECT_NEAR(found->factor, 5, 1e-12);
  EXPECT_NEAR(found->determination, 1, 1e-12);
}

TEST(Growth, OnePlaceIsNone) {
  EXPECT_FALSE(fit({}));
  EXPECT_FALSE(fit({{10, 3}}));
  EXPECT_FALSE(fit({{10, 3}, {10, 4}}));  // as steep as one likes
}

TEST(Growth, WhatHasNoLogarithmIsPassedOver) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<place> places = law(2, 1);
  places.insert(places.begin(), {{0, 7}, {5, 0}, {6, -1}, {7, nan}, {nan, 7}});
  const std::optional<growth> found = fit(places);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->exponent, 1, 1e-9);
  EXPECT_NEAR(found->factor, 2, 1e-9);
  EXPECT_FALSE(fit({{1, 0}, {10, 0}}));
  EXPECT_FALSE(fit({{1, 0}, {10, 3}}));
}

TEST(Growth, TheSteepestPieceIsBetweenNeighboursWhateverTheirOrder) {
  const std::optional<growth> found = fit({{1000, 50}, {1, 5}, {100, 5}, {10, 5}});
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->steepest, 1, 1e-12);
  EXPECT_EQ(found->from.at, 100);
  EXPECT_EQ(found->to.at, 1000);
  EXPECT_EQ(found->to.value, 50);
}

TEST(Growth, OfACurveThatFallsTheSteepestPieceIsWhereItFallsLeast) {
  const std::optional<growth> found = fit({{1, 1000}, {10, 100}, {100, 50}});
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->steepest, std::log10(0.5), 1e-12);
  EXPECT_EQ(found->from.at, 10);
}

TEST(Growth, TheWordsSayConstantUpToATwentiethOfAPower) {
  EXPECT_EQ(in_words(*fit(law(1, 0.049))), "constant");
  EXPECT_EQ(in_words(*fit(law(1, -0.049))), "constant");
  EXPECT_EQ(in_words(*fit(law(1, 0.051))), "~ n^0.05");
  EXPECT_EQ(in_words(*fit(law(1, 0.5))), "~ n^0.50");
  EXPECT_EQ(in_words(*fit(law(1, -0.3))), "~ n^-0.30");
}

// A point of a curve with a contender, who had these values and, beside them, these figures.
bench::result point_of(const std::string& curve, double at, bool is_scale, const std::vector<bench::sample>& samples) {
  bench::result one;
  one.what = {.id = "S1", .question = "", .unit = "ns", .on = bench::point{curve, "locks", at, is_scale}};
  if (!samples.empty() && !samples.front().figures.empty()) one.what.figure_names = {"bytes"};
  one.standings.push_back({"ours", bench::side::ours, samples});
  return one;
}

TEST(Growth, IsOfTheMediansOfEachContenderAndFigure) {
  bench::report run;
  run.results = {point_of("a", 1, true, {{1, {8}}, {2, {8}}, {900, {8}}}), point_of("b", 1, true, {{7}}),
                 point_of("a", 10, true, {{19, {80}}, {20, {80}}, {21, {80}}}), point_of("b", 10, true, {{7}})};
  const std::vector<bench::grown> found = growths(run);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].curve, "a");
  EXPECT_EQ(found[0].contender, "ours");
  EXPECT_EQ(found[0].of, "ns");
  EXPECT_EQ(found[0].axis, "locks");
  EXPECT_EQ(found[0].first.value, 2);
  EXPECT_EQ(found[0].last.at, 10);
  EXPECT_EQ(found[0].last.value, 20);
  EXPECT_NEAR(found[0].law.exponent, 1, 1e-12);
  EXPECT_EQ(found[1].of, "bytes");
  EXPECT_EQ(found[1].last.value, 80);
  EXPECT_EQ(found[2].curve, "b");
  EXPECT_EQ(in_words(found[2].law), "constant");
}

TEST(Growth, IsOnlyOfCurvesThatAskForIt) {
  bench::report run;
  run.results = {point_of("a", 1, false, {{1}}), point_of("a", 10, false, {{20}})};
  EXPECT_TRUE(growths(run).empty());
}

TEST(Growth, OfAnIncompleteCurveIsThatOfThePointsThereAre) {
  bench::report run;
  run.results = {point_of("a", 1, true, {{3}}), point_of("a", 10, true, {}), point_of("a", 100, true, {{300}})};
  run.results[1].standings.clear();  // it could not be measured there
  const std::vector<bench::grown> found = growths(run);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found[0].law.exponent, 1, 1e-12);
}

}  // namespace
