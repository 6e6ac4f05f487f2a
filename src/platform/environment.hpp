// TURNKEY_* environment variables. A value that cannot be used is reported in one line on stderr that names the
// variable, the value and what it takes; the program goes on as if the variable were not set.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace turnkey::platform {

// The variable as an integer in [least, most]; `otherwise` if it is not set or not one.
std::int64_t environment_integer(const char* variable, std::int64_t least, std::int64_t most,
                                 std::int64_t otherwise) noexcept;
// The variable as a time in nanoseconds, above 0: a number and ns, us, ms, s or m, such as 10ms or 1.5s.
std::int64_t environment_duration(const char* variable, std::int64_t otherwise) noexcept;
// The index of the variable's value in `choices`; `otherwise` if it is not set or not among them.
int environment_choice(const char* variable, std::initializer_list<std::string_view> choices, int otherwise) noexcept;

// The file that the variable names, to be written at some later time: its full path, so that the program may go to another
// folder before, ended by a 0. False, and said, if it cannot be written: then there will be no `content`. False if not set.
bool environment_file(const char* variable, std::string_view content, char (&path)[4096]) noexcept;
void complain_of_file(const char* variable, std::string_view path, std::string_view content) noexcept;

// The variable's value, for what is free text; empty if it is not set. Valid until the environment is changed.
std::string_view environment_text(const char* variable) noexcept;

}  // namespace turnkey::platform
