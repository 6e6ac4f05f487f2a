#include "platform/environment.hpp"

#include <charconv>
#include <cstdlib>

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

}  // namespace turnkey::platform
