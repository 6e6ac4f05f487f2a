// Stacks as addresses, for those that want to count them; text::stack() prints one.
#pragma once

#include <cstdint>
#include <string_view>

namespace turnkey::platform {

constexpr int most_frames = 64;

// Where control is, in the functions that were called and have not returned: innermost first. Of a return address one
// is taken off, so that it is in the line of the call.
struct trace {
  std::uintptr_t frames[most_frames];
  int count = 0;
  bool is_complete = true;

  bool add(std::uintptr_t address) noexcept {
    is_complete = count < most_frames;
    if (is_complete) frames[count++] = address;
    return is_complete;
  }
};

// The calling thread of control's stack, from this function on. Allocates nothing, takes no lock, and about 4 KiB of the
// stack.
void take_trace(trace& found) noexcept;

// True for a (mangled) name of the library's own insides, which are where reports come from and waits end up. Its public
// functions are shown.
bool is_internal(std::string_view name) noexcept;

// Calls work(argument) on a large stack, while nobody else may use symbol.hpp. False, and nothing is called, if that
// cannot be had within two seconds.
bool run_with_symbols(void (*work)(void*), void* argument) noexcept;

}  // namespace turnkey::platform
