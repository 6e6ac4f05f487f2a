// turnkey_tour -- a walk through what the library promises, one small program at a time.
//
// Runs each scenario's programs as child processes, shows what they said, and whether that is what they had to say.
// The wrong programs belong to it: what counts there is how they are told.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "child.hpp"
#include "scenario.hpp"

namespace tour {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds patience = std::chrono::seconds(20);  // a child that takes longer hangs

// ---- how it looks --------------------------------------------------------------------------------------------------

struct look {
  bool is_coloured = false;
  std::size_t most_lines = 16;  // of one child's stdout or stderr

  [[nodiscard]] std::string paint(const char* code, const std::string& text) const {
    return is_coloured ? std::string("\033[") + code + "m" + text + "\033[0m" : text;
  }
  [[nodiscard]] std::string bold(const std::string& text) const { return paint("1", text); }
  [[nodiscard]] std::string faint(const std::string& text) const { return paint("2", text); }
  [[nodiscard]] std::string red(const std::string& text) const { return paint("31", text); }
  [[nodiscard]] std::string green(const std::string& text) const { return paint("32", text); }
};

void say(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string seconds(milliseconds time) {
  std::array<char, 32> text{};
  if (time < std::chrono::seconds(1)) return std::to_string(time.count()) + " ms";
  std::snprintf(text.data(), text.size(), "%.1f s", static_cast<double>(time.count()) / 1000);
  return text.data();
}

// What is to be shown of a text: its lines, or the matches of a pattern, once where the same follows itself, as a compiler's message
// does that is quoted from the source it shows next.
std::vector<std::string> lines_of(const std::string& text, const std::string& pattern) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    std::smatch match;
    if (pattern.empty()) {
      lines.push_back(line);
    } else if (std::regex_search(line, match, std::regex(pattern)) && (lines.empty() || lines.back() != match.str())) {
      lines.push_back(match.str());
    }
  }
  return lines;
}

void show_lines(std::vector<std::string> lines, const std::string& margin, const look& style) {
  constexpr std::size_t most_columns = 150;
  const std::size_t shown = lines.size() <= style.most_lines ? lines.size() : style.most_lines - 1;
  for (std::size_t i = 0; i < shown; ++i) {
    std::string& line = lines[i];
    if (line.size() > most_columns) line.replace(most_columns - 3, std::string::npos, "...");
    say(margin + line);
  }
  if (shown < lines.size()) {
    say(margin + style.faint("... and " + std::to_string(lines.size() - shown) + " lines more"));
  }
}

// ---- what is right -------------------------------------------------------------------------------------------------

// A text of several lines on one.
std::string on_one_line(const std::string& text) { return std::regex_replace(text, std::regex("\n"), "\\n"); }

// What is wrong with how a child ended, one complaint an entry.
std::vector<std::string> complaints(const run& made, const ending& result) {
  const auto says = [](const std::string& text, const std::string& pattern) {
    constexpr std::size_t enough = 10'000;  // std::regex recurses; what matters is at the beginning
    return std::regex_search(text.substr(0, enough), std::regex(pattern));
  };
  const outcome& expected = made.expected;
  std::vector<std::string> all;
  if (result.is_stopped && made.stop_after == milliseconds(0)) {
    all.push_back("it was still running after " + seconds(patience));
  } else if (result.status != expected.status) {
    all.push_back("it ended with status " + std::to_string(result.status) + ", not " + std::to_string(expected.status));
  } else if (result.took > expected.within + made.stop_after) {
    all.push_back("it took " + seconds(result.took) + ", not " + seconds(expected.within) + " at most");
  }
  if (!expected.out.empty() && result.out != expected.out) {
    all.push_back("stdout had to be: " + on_one_line(expected.out));
  }
  if (!says(result.out, expected.out_like)) all.push_back("stdout had to be like: " + on_one_line(expected.out_like));
  if (!says(result.err, expected.err_like)) all.push_back("stderr had to be like: " + on_one_line(expected.err_like));
  if (expected.err_like.empty() && !result.err.empty()) all.push_back("nothing was to be on stderr");
  return all;
}

// ---- the walk ------------------------------------------------------------------------------------------------------

ending perform(const run& made) {
  std::vector<std::string> command = made.command;
  if (command[0].find('/') == std::string::npos) command[0] = std::string(TURNKEY_EXAMPLES_DIR "/") + command[0];
  const milliseconds limit = made.stop_after == milliseconds(0) ? patience : made.stop_after;
  return run_child(command, made.environment, limit, made.stop_signal);
}

// A run with a title and one line to show goes on one line.
void show(const run& made, const ending& result, const look& style) {
  const std::vector<std::string> out = lines_of(result.out, made.show);
  const std::vector<std::string> err = lines_of(result.err, made.show);
  std::string title = made.title;
  const bool fits_on_a_line = !title.empty() && out.size() + err.size() == 1;
  if (fits_on_a_line) title.resize(std::max(title.size() + 2, std::size_t{44}), ' ');
  if (!title.empty()) std::printf("    %s%s", title.c_str(), fits_on_a_line ? "" : "\n");
  const std::string indent = fits_on_a_line ? "" : "    ";
  show_lines(out, indent + style.green("| "), style);
  show_lines(err, indent + style.red("! "), style);
  std::fflush(stdout);
}

bool walk_through(const scenario& item, const look& style) {
  say(style.bold(item.id) + (item.id.size() < 3 ? "  " : " ") + style.bold(item.title) + "  " +
      style.faint("examples/" + item.source));
  say("    " + item.shows);
  say("");
  std::fflush(stdout);

  std::vector<std::string> wrong;
  milliseconds took{0};
  for (const run& made : item.runs) {
    const ending result = perform(made);
    took += result.took;
    show(made, result, style);
    for (const std::string& complaint : complaints(made, result)) {
      wrong.push_back((made.title.empty() ? "" : made.title + ": ") + complaint);
    }
  }
  say("");
  std::string statuses;
  bool are_equal = true;
  for (const run& made : item.runs) {
    statuses += (statuses.empty() ? "" : ", ") + std::to_string(made.expected.status);
    are_equal = are_equal && made.expected.status == item.runs.front().expected.status;
  }
  if (are_equal) statuses = std::to_string(item.runs.front().expected.status);
  const bool are_many = item.runs.size() > 1 && are_equal;
  const std::string how =
      (are_many ? std::to_string(item.runs.size()) + " times " : "") + "exit status " + statuses + ", " + seconds(took);
  if (wrong.empty()) say("    " + style.green("as it should be") + style.faint("  (" + how + ")"));
  for (const std::string& complaint : wrong) say("    " + style.red("NOT as it should be: ") + complaint);
  say("");
  return wrong.empty();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_chosen(const scenario& item, const std::vector<std::string>& names) {
  return names.empty() || std::any_of(names.begin(), names.end(),
                                      [&](const std::string& name) { return lower(name) == lower(item.id); });
}

void list(const std::vector<scenario>& items) {
  for (const scenario& item : items) {
    std::printf("%-4s %s (examples/%s)\n", item.id.c_str(), item.title.c_str(), item.source.c_str());
  }
}

// True if everything that was chosen is as it should be.
bool walk(const std::vector<scenario>& items, const look& style) {
  std::vector<std::string> wrong;
  std::vector<std::string> left_out;
  std::size_t right = 0;
  char kind = 0;
  say("A tour of turnkey: " + std::to_string(items.size()) + (items.size() == 1 ? " scenario" : " scenarios") +
      ", run now, each in a process of its own.\n");
  for (const scenario& item : items) {
    if (item.id[0] != kind) {
      kind = item.id[0];
      say(style.faint(kind == 'S'   ? "---- right programs, and what they show ----"
                      : kind == 'C' ? "---- the same work, done in several right ways ----"
                                    : "---- wrong programs, and how they are told ----"));
      say("");
    }
    if (!item.cannot_run.empty()) {
      left_out.push_back(item.id + " (" + item.cannot_run + ")");
    } else if (walk_through(item, style)) {
      ++right;
    } else {
      wrong.push_back(item.id);
    }
  }
  std::string summary = std::to_string(right) + " of " + std::to_string(right + wrong.size()) + " as they should be";
  for (const std::string& id : wrong) summary += (id == wrong.front() ? "; not so: " : ", ") + id;
  for (const std::string& note : left_out) summary += (note == left_out.front() ? "; left out: " : ", ") + note;
  say(style.bold(wrong.empty() ? style.green(summary) : style.red(summary)));
  return wrong.empty();
}

bool wants_colour() {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && (refused == nullptr || *refused == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

}  // namespace
}  // namespace tour

int main(int argc, char** argv) {
  using namespace tour;
  std::vector<scenario> items = all_scenarios();
  std::vector<std::string> names;
  bool only_list = false;
  bool in_full = false;
  CLI::App options("Runs the scenarios one after another and shows whether each is as it should be.");
  options.add_option("scenario", names, "only these, such as S5 W4")->check([&](const std::string& name) {
    const bool is_known =
        std::any_of(items.begin(), items.end(), [&](const scenario& item) { return is_chosen(item, {name}); });
    return is_known ? std::string() : "there is no scenario " + name + "; --list shows them";
  });
  options.add_flag("-l,--list", only_list, "list the scenarios");
  options.add_flag("-f,--full", in_full, "show all that the programs print");
  CLI11_PARSE(options, argc, argv);

  std::erase_if(items, [&](const scenario& item) { return !is_chosen(item, names); });
  if (only_list) {
    list(items);
    return 0;
  }
  look style{.is_coloured = wants_colour()};
  if (in_full) style.most_lines = std::string::npos;
  return walk(items, style) ? 0 : 1;
}
