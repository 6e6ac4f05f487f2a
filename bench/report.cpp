// The table for people who look at a terminal.
#include <cstdio>

#include "growth.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

// What a goal says, and who reached it: a line for each goal.
void print_goals(const result& all) {
  const std::vector<verdict> list = verdicts(all);
  for (auto at = list.begin(); at != list.end();) {
    const std::string aim = at->aim;
    std::string met;
    std::string missed;
    for (; at != list.end() && at->aim == aim; ++at) {
      std::string& names = at->is_met ? met : missed;
      names += (names.empty() ? "" : ", ") + at->name + " " + number(at->reached);
    }
    std::printf("    goal: %s:%s%s%s\n", aim.c_str(), met.empty() ? "" : (" met by " + met).c_str(),
                met.empty() || missed.empty() ? "" : ";", missed.empty() ? "" : (" MISSED by " + missed).c_str());
  }
}

void print_result(const result& all) {
  std::printf("\n%s  %s\n", all.what.id.c_str(), all.what.question.c_str());
  const std::string heading = all.what.unit + (all.what.is_more_better ? ", more is better" : ", less is better");
  std::printf("    %-32s %9s   %-17s %7s %7s", heading.c_str(), "median", "   quartiles", "x std", "x Go");
  for (const std::string& name : all.what.figure_names) std::printf("  %15s", name.c_str());
  std::printf("\n");
  for (const standing& one : all.standings) {
    const std::vector<double> values = values_of(one);
    const std::string quartiles = number(quantile(values, 0.25)) + " .. " + number(quantile(values, 0.75));
    std::printf("    %-32s %9s   %-17s %7s %7s", one.name.c_str(), number(median(values)).c_str(), quartiles.c_str(),
                number(ratio(all, one, side::standard)).c_str(), number(ratio(all, one, side::go)).c_str());
    for (std::size_t i = 0; i < all.what.figure_names.size(); ++i) {
      std::printf("  %15s", number(median(figures_of(one, i))).c_str());
    }
    std::printf("\n");
  }
  print_goals(all);
  for (const comparison& each : all.what.comparisons) {
    const standing* one = named(all, each.of);
    const standing* other = named(all, each.over);
    if (one == nullptr || other == nullptr) continue;
    std::printf("    %s / %s: %s\n", each.of.c_str(), each.over.c_str(), number(ratio(*one, other)).c_str());
  }
  std::string left_out;
  for (const std::string& name : all.what.left_out) left_out += (left_out.empty() ? "" : "; ") + name;
  if (rounds_of(all) < enough_rounds && rounds_of(all) > 0) std::printf("    rounds: %d\n", rounds_of(all));
  if (!left_out.empty()) std::printf("    left out, not here: %s\n", left_out.c_str());
}

void print_growths(const std::vector<grown>& all) {
  if (all.empty()) return;
  std::printf(
      "\nHow it grows: c n^k through the medians, by least squares on their logarithms; r2 is the part of their "
      "variation "
      "that this explains\n");
  std::string curve;
  for (const grown& each : all) {
    if (each.curve != curve) std::printf("\n%s\n", each.curve.c_str());
    curve = each.curve;
    const growth& law = each.law;
    std::printf("    %-45s %-12s %9s at %-4.0f %9s at %-8.0f %-9s r2 %.2f", each.contender.c_str(), each.of.c_str(),
                number(each.first.value).c_str(), each.first.at, number(each.last.value).c_str(), each.last.at,
                in_words(law).c_str(), law.determination);
    std::printf("  steepest n^%.2f, %.0f to %.0f\n", law.steepest, law.from.at, law.to.at);
  }
}

}  // namespace

void print_table(const report& run) {
  const machine& where = run.where;
  const int rounds = rounds_of(run);
  std::printf("%s, %u CPUs, %s, %s, %s\n", where.date.c_str(), where.cpus, where.processor.c_str(),
              where.memory.c_str(), where.kernel.c_str());
  std::printf("%s\n", where.compiler.c_str());
  std::string rivals;
  for (const std::string& each : where.rivals) rivals += (rivals.empty() ? "" : ", ") + each;
  std::printf("%s\n", rivals.c_str());
  std::printf("%d workers, %d interleaved round(s), load %.1f before, %.1f after\n", current_settings().procs, rounds,
              where.load_before, where.load_after);
  if (!run.remark.empty()) std::printf("%s\n", run.remark.c_str());
  for (const result& each : run.results) print_result(each);
  print_growths(growths(run));
}

}  // namespace bench
