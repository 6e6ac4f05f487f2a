// The JSON for programs, the table for README.md, and the page, which is page.html with the JSON in it.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "growth.hpp"
#include "statistics.hpp"

namespace bench {
namespace {

using json = nlohmann::ordered_json;

const char* name_of(side from) {
  switch (from) {
    case side::ours:
    case side::also_ours: return "turnkey";
    case side::standard: return "std";
    case side::go: return "go";
    case side::floor: return "floor";
    default: return "other";
  }
}

json contender_of(const result& all, const standing& one) {
  const std::vector<double> values = values_of(one);
  json entry{{"name", one.name},
             {"from", name_of(one.from)},
             {"has_goals", one.from == side::ours},
             {"median", median(values)},
             {"quartiles", {quantile(values, 0.25), quantile(values, 0.75)}}};
  for (const side rival : {side::standard, side::go}) {
    if (const auto reached = ratio(all, one, rival)) entry[std::string("ratio_to_") + name_of(rival)] = *reached;
  }
  if (is_ours(one)) {
    if (const auto reached = ratio(all, one, side::any_rival)) entry["ratio_to_best_rival"] = *reached;
  }
  for (std::size_t i = 0; i < all.what.figure_names.size(); ++i) {
    const std::vector<double> figures = figures_of(one, i);
    if (figures.empty()) continue;
    entry["figures"][all.what.figure_names[i]] = {{"median", median(figures)},
                                                  {"quartiles", {quantile(figures, 0.25), quantile(figures, 0.75)}},
                                                  {"samples", figures}};
  }
  entry["samples"] = values;
  return entry;
}

json benchmark_of(const result& each) {
  json one{{"id", each.what.id},          {"question", each.what.question},
           {"unit", each.what.unit},      {"more_is_better", each.what.is_more_better},
           {"contenders", json::array()}, {"comparisons", json::array()},
           {"goals", json::array()},      {"left_out", each.what.left_out},
           {"rounds", rounds_of(each)}};
  if (each.what.on)
    one["on"] = {{"curve", each.what.on->curve},
                 {"axis", each.what.on->axis},
                 {"at", each.what.on->at},
                 {"is_scale", each.what.on->is_scale}};
  for (const standing& entry : each.standings) one["contenders"].push_back(contender_of(each, entry));
  for (const comparison& pair : each.what.comparisons) {
    const standing* of = named(each, pair.of);
    const standing* over = named(each, pair.over);
    if (of == nullptr || over == nullptr) continue;
    one["comparisons"].push_back(
        {{"name", pair.name}, {"of", pair.of}, {"over", pair.over}, {"ratio", ratio(*of, over).value_or(1)}});
  }
  for (const verdict& reached : verdicts(each)) {
    one["goals"].push_back(
        {{"aim", reached.aim}, {"name", reached.name}, {"reached", reached.reached}, {"is_met", reached.is_met}});
  }
  return one;
}

json growth_of(const grown& each) {
  const auto json_of_place = [](const place& one) { return json{{"at", one.at}, {"value", one.value}}; };
  return {
      {"curve", each.curve},
      {"axis", each.axis},
      {"contender", each.contender},
      {"from", name_of(each.from)},
      {"of", each.of},
      {"first", json_of_place(each.first)},
      {"last", json_of_place(each.last)},
      {"words", in_words(each.law)},
      {"exponent", each.law.exponent},
      {"factor", each.law.factor},
      {"r_squared", each.law.determination},
      {"steepest",
       {{"exponent", each.law.steepest}, {"from", json_of_place(each.law.from)}, {"to", json_of_place(each.law.to)}}}};
}

json json_of(const report& run) {
  const machine& where = run.where;
  json all;
  all["turnkey"] = TURNKEY_BENCH_VERSION;
  all["date"] = where.date;
  all["machine"] = {{"cpus", where.cpus},     {"processor", where.processor},     {"memory", where.memory},
                    {"kernel", where.kernel}, {"load_before", where.load_before}, {"load_after", where.load_after}};
  all["compiler"] = where.compiler;
  all["versions"] = where.rivals;
  all["workers"] = current_settings().procs;
  all["is_pinned"] = current_settings().is_pinned;
  all["rounds"] = rounds_of(run);
  all["remark"] = run.remark;
  all["benchmarks"] = json::array();
  for (const result& each : run.results) all["benchmarks"].push_back(benchmark_of(each));
  all["growth"] = json::array();
  for (const grown& each : growths(run)) all["growth"].push_back(growth_of(each));
  return all;
}

// ---- the table -----------------------------------------------------------------------------------------------------

// "4.1; from a thread 5.2": the first, and the others of that side by name; of "turnkey, from a thread" the last part.
std::string cell(const result& all, side from) {
  std::string text;
  for (const standing& one : all.standings) {
    if (one.from != from) continue;
    const std::string value = number(median(values_of(one)));
    const std::size_t comma = from == side::ours ? one.name.find(", ") : std::string::npos;
    text += text.empty() ? value : "; " + one.name.substr(comma == std::string::npos ? 0 : comma + 2) + " " + value;
  }
  return text.empty() ? "-" : text;
}

std::string best_other(const result& all) {
  const standing* best = best_of(all, side::other);
  return best == nullptr ? "-" : number(median(values_of(*best))) + " " + best->name;
}

// " (3 rounds)" if they are too few.
std::string few_rounds(const result& all) {
  const int rounds = rounds_of(all);
  return rounds == 0 || rounds >= enough_rounds ? "" : " (" + std::to_string(rounds) + " rounds)";
}

// One entry a goal: how each of ours did.
std::string goals_cell(const result& all) {
  std::string text;
  std::string aim;
  for (const verdict& each : verdicts(all)) {
    if (each.aim != aim) text += (text.empty() ? "" : "; ") + each.aim + ":";
    text += (each.aim == aim ? "," : "") + std::string(each.is_met ? " " : " **missed** ") + number(each.reached);
    aim = each.aim;
  }
  return text.empty() ? "-" : text;
}

void write_rows(std::ostream& out, const report& run) {
  const auto is_row = [](const result& each) {
    return !each.what.on || !each.what.goals.empty();
  };  // else for the page
  if (std::none_of(run.results.begin(), run.results.end(), is_row)) return;
  out << "| | work | turnkey | std | Go | best of the others | floor | goals |\n|---|---|---|---|---|---|---|---|\n";
  for (const result& each : run.results) {
    if (!is_row(each)) continue;
    out << "| " << each.what.id << " | " << each.what.question << ", " << each.what.unit << few_rounds(each) << " | "
        << cell(each, side::ours) << " | " << cell(each, side::standard) << " | " << cell(each, side::go) << " | "
        << best_other(each) << " | " << cell(each, side::floor) << " | " << goals_cell(each) << " |\n";
  }
  out << '\n';
}

void write_growths(std::ostream& out, const std::vector<grown>& all) {
  if (all.empty()) return;
  out << "| | of | first | last | growth | r2 | steepest |\n|---|---|---|---|---|---|---|\n";
  std::string curve;
  for (const grown& each : all) {
    if (each.curve != curve) out << "| **" << each.curve << "** | | | | | | |\n";
    curve = each.curve;
    const growth& law = each.law;
    out << "| " << each.contender << " | " << each.of << " | " << number(each.first.value) << " at " << each.first.at
        << " | " << number(each.last.value) << " at " << each.last.at << " | " << in_words(law) << " | "
        << number(law.determination) << " | " << number(law.steepest) << ", " << law.from.at << " to " << law.to.at
        << " |\n";
  }
  out << '\n';
}

}  // namespace

void write_json(std::ostream& out, const report& run) { out << json_of(run).dump(1) << '\n'; }

void write_markdown(std::ostream& out, const report& run) {
  write_rows(out, run);
  write_growths(out, growths(run));
  const machine& where = run.where;
  out << "Medians of " << rounds_of(run) << " interleaved rounds, " << where.date << ", " << where.cpus << " CPUs ("
      << where.processor << "), " << where.memory << ", " << where.kernel << ", " << current_settings().procs
      << " workers; load " << number(where.load_before) << " before and " << number(where.load_after) << " after. "
      << where.compiler << ".";
  for (const std::string& each : where.rivals) out << ' ' << each << (&each == &where.rivals.back() ? "." : ",");
  out << (run.remark.empty() ? "" : " ") << run.remark << '\n';
}

void write_html(std::ostream& out, const report& run) {
  std::ifstream file(TURNKEY_BENCH_PAGE);
  std::stringstream page;
  if (!(page << file.rdbuf())) throw std::runtime_error("cannot read " TURNKEY_BENCH_PAGE);
  std::string text = page.str();
  const std::string place = "@results@";
  const std::size_t at = text.find(place);
  if (at == std::string::npos) throw std::runtime_error(TURNKEY_BENCH_PAGE " has no place for the results");
  // Within a script element only its end must not occur.
  std::string results = json_of(run).dump();
  for (std::size_t i = results.find("</"); i != std::string::npos; i = results.find("</", i + 3))
    results.insert(i + 1, "\\");
  out << text.replace(at, place.size(), results);
}

}  // namespace bench
