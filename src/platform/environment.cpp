#include "platform/environment.hpp"

#include <charconv>
#include <cstdlib>

#include "platform/file.hpp"
#include "platform/report.hpp"

namespace turnkey::platform {

namespace {

constexpr std::size_t longest_line = 512;

text& begin_complaint(text& line, const char* variable, std::string_view value) noexcept {
  return line << variable << "=" << value.substr(0, 100) << " is ignored: it takes ";
}

}  // namespace

// An empty value counts as not set, as in most shells' idiom.
std::string_view environment_text(const char* variable) noexcept {
  const char* const value = getenv(variable);
  return value != nullptr ? std::string_view(value) : std::string_view();
}

std::int64_t environment_integer(const char* variable, std::int64_t least, std::int64_t most,
                                 std::int64_t otherwise) noexcept {
  const std::string_view value = environment_text(variable);
  if (value.empty()) return otherwise;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size() && least <= number && number <= most) return number;

  char buffer[longest_line];
  text line(buffer, sizeof buffer);
  begin_complaint(line, variable, value) << "an integer from " << least << " to " << most;
  warn(line.view());
  return otherwise;
}

std::int64_t environment_duration(const char* variable, std::int64_t otherwise) noexcept {
  const std::string_view value = environment_text(variable);
  if (value.empty()) return otherwise;
  constexpr struct {
    std::string_view name;
    double nanoseconds;
  } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}};
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  for (const auto& unit : units) {
    if (error != std::errc() || std::string_view(end, value.data() + value.size()) != unit.name) continue;
    const double time = number * unit.nanoseconds;
    if (time >= 1 && time < 9e18) return static_cast<std::int64_t>(time);
  }

  char buffer[longest_line];
  text line(buffer, sizeof buffer);
  begin_complaint(line, variable, value) << "a time above 0, such as 10ms, 1.5s or 2m";
  warn(line.view());
  return otherwise;
}

int environment_choice(const char* variable, std::initializer_list<std::string_view> choices, int otherwise) noexcept {
  const std::string_view value = environment_text(variable);
  if (value.empty()) return otherwise;
  int index = 0;
  for (const std::string_view choice : choices) {
    if (choice == value) return index;
    ++index;
  }

  char buffer[longest_line];
  text line(buffer, sizeof buffer);
  begin_complaint(line, variable, value);
  std::string_view separator;
  for (const std::string_view choice : choices) {
    line << separator << choice;
    separator = ", ";
  }
  warn(line.view());
  return otherwise;
}

void complain_of_file(const char* variable, std::string_view path, std::string_view content) noexcept {
  char buffer[2 * longest_line];
  text line(buffer, sizeof buffer);
  line << variable << '=' << path.substr(0, 500) << ": the file cannot be written; there will be no " << content;
  warn(line.view());
}

// Whoever made a mistake wants to hear of it now.
bool environment_file(const char* variable, std::string_view content, char (&path)[4096]) noexcept {
  const std::string_view value = environment_text(variable);
  if (value.empty()) return false;
  if (output_file::can_be_written(value.data()) && realpath(value.data(), path) != nullptr) return true;
  complain_of_file(variable, value, content);
  return false;
}

}  // namespace turnkey::platform
