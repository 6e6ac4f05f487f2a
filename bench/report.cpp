// The table for people and the JSON for programs.
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "run.hpp"

namespace bench {
namespace {

// The value that the part `share` of all lies below.
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

double figure_of(const standing& one, std::size_t figure) {
  std::vector<double> values;
  for (const sample& taken : one.samples) {
    if (figure < taken.figures.size()) values.push_back(taken.figures[figure]);
  }
  return median(std::move(values));
}

const standing* first_of(const result& all, side from) {
  const auto found =
      std::find_if(all.standings.begin(), all.standings.end(), [&](const standing& one) { return one.from == from; });
  return found == all.standings.end() ? nullptr : &*found;
}

// This one's value over the rival's, round by round, as both saw the same machine in a round. Nothing if there is no
// such rival, or it is this one itself.
std::optional<double> ratio(const result& all, const standing& one, side rival) {
  const standing* other = first_of(all, rival);
  if (other == nullptr || other == &one) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t round = 0; round < one.samples.size(); ++round) {
    ratios.push_back(one.samples[round].value / other->samples[round].value);
  }
  return median(std::move(ratios));
}

const char* name_of(side rival) { return rival == side::standard ? "std" : "Go"; }

// ---- the table -----------------------------------------------------------------------------------------------------

// Three digits that mean something.
std::string number(double value) {
  std::array<char, 32> text{};
  if (std::isnan(value)) return "-";
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 || value < 0.00005 ? 2 : 4;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string number(std::optional<double> value) { return value ? number(*value) : ""; }

std::string rival_name(const result& all, side rival) {
  return rival == side::other ? first_of(all, rival)->name : name_of(rival);
}

// What a goal says, and who reached it.
void print_goal(const result& all, const goal& aim) {
  const auto& names = all.what.figure_names;
  const auto figure = static_cast<std::size_t>(std::find(names.begin(), names.end(), aim.figure) - names.begin());
  std::string met;
  std::string missed;
  for (const standing& one : all.standings) {
    if (one.from != side::ours) continue;
    const bool is_ratio = aim.against != side::ours;
    const std::optional<double> reached = is_ratio             ? ratio(all, one, aim.against)
                                          : aim.figure.empty() ? median(values_of(one))
                                                               : figure_of(one, figure);
    if (!reached) return;  // the rival is not here
    const bool is_met = aim.is == goal::relation::at_most ? *reached <= aim.limit : *reached >= aim.limit;
    std::string& list = is_met ? met : missed;
    list += (list.empty() ? "" : ", ") + one.name + " " + number(*reached);
  }
  const std::string what = (aim.figure.empty() ? "" : aim.figure + " ") +
                           (aim.is == goal::relation::at_most ? "at most " : "at least ") + number(aim.limit) +
                           (aim.against == side::ours ? "" : " x " + rival_name(all, aim.against));
  std::printf("    goal: %s:%s%s%s%s\n", what.c_str(), met.empty() ? "" : (" met by " + met).c_str(),
              met.empty() || missed.empty() ? "" : ";", missed.empty() ? "" : (" MISSED by " + missed).c_str(), "");
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
      std::printf("  %15s", number(figure_of(one, i)).c_str());
    }
    std::printf("\n");
  }
  for (const goal& aim : all.what.goals) print_goal(all, aim);
  std::string left_out;
  for (const std::string& name : all.what.left_out) left_out += (left_out.empty() ? "" : "; ") + name;
  if (!left_out.empty()) std::printf("    not installed: %s\n", left_out.c_str());
}

// ---- the machine ---------------------------------------------------------------------------------------------------

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

// How many threads wanted to run in the last minute; ours among them.
double load() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

std::string kernel() {
  utsname name{};
  return uname(&name) == 0 ? std::string(name.sysname) + " " + name.release : "unknown kernel";
}

}  // namespace

machine this_machine() { return {std::thread::hardware_concurrency(), processor(), kernel(), load(), go_version()}; }

void print_table(const machine& where, const std::vector<result>& results) {
  const std::size_t rounds = results.empty() ? 0 : results.front().standings.front().samples.size();
  std::printf("%u CPUs, %s, %s\n", where.cpus, where.processor.c_str(), where.kernel.c_str());
  std::printf("%d workers, %s, %zu interleaved rounds\n", current_settings().procs,
              where.go.empty() ? "no Go program (peers/build makes it where Go is installed)" : where.go.c_str(),
              rounds);
  if (where.load > 0.5 * where.cpus) {
    std::printf("load average %.1f before the start: others use this machine, so trust no figure\n", where.load);
  }
  for (const result& each : results) print_result(each);
}

void write_json(std::ostream& out, const machine& where, const std::vector<result>& results) {
  nlohmann::ordered_json all;
  all["machine"] = {
      {"cpus", where.cpus}, {"processor", where.processor}, {"kernel", where.kernel}, {"load_before", where.load}};
  all["compiler"] = __VERSION__;
  all["go"] = where.go;
  all["procs"] = current_settings().procs;
  all["pinned"] = current_settings().is_pinned;
  all["benchmarks"] = nlohmann::ordered_json::array();
  for (const result& each : results) {
    nlohmann::ordered_json benchmark{{"id", each.what.id},
                                     {"question", each.what.question},
                                     {"unit", each.what.unit},
                                     {"more_is_better", each.what.is_more_better},
                                     {"contenders", nlohmann::ordered_json::array()},
                                     {"left_out", each.what.left_out}};
    for (const standing& one : each.standings) {
      const std::vector<double> values = values_of(one);
      nlohmann::ordered_json entry{{"name", one.name},
                                   {"median", median(values)},
                                   {"quartiles", {quantile(values, 0.25), quantile(values, 0.75)}}};
      for (const side rival : {side::standard, side::go}) {
        if (const auto reached = ratio(each, one, rival)) entry[std::string("ratio_to_") + name_of(rival)] = *reached;
      }
      for (std::size_t i = 0; i < each.what.figure_names.size(); ++i) {
        entry["figures"][each.what.figure_names[i]] = figure_of(one, i);
      }
      entry["samples"] = values;
      benchmark["contenders"].push_back(std::move(entry));
    }
    all["benchmarks"].push_back(std::move(benchmark));
  }
  out << all.dump(2) << '\n';
}

}  // namespace bench
