// Stacks as addresses: taken now, compared, and named later by text::stack_at(). Nothing here allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnkey::platform {

// Where control is, in the functions that were called and have not returned: innermost first. The address of a call, not
// that after it.
struct stack_frames {
  static constexpr int most = 64;
  std::uintptr_t at[most];
  int count = 0;
  bool is_complete = true;

  bool add(std::uintptr_t address) noexcept {
    is_complete = count < most;
    if (is_complete) at[count++] = address;
    return is_complete;
  }
};

// The innermost of them, for who keeps many stacks.
struct short_stack {
  static constexpr int most = 24;
  std::array<std::uintptr_t, most> at{};
  int count = 0;
};

// The caller's. Takes no lock, and about 4 KiB of the stack.
void take_own_frames(stack_frames& to) noexcept;
void take_own_frames(short_stack& to) noexcept;

// In a signal handler: those of what the signal has interrupted. Async-signal-safe.
void take_interrupted_frames(stack_frames& to, const void* context) noexcept;

// Those of a stack that turnkey_switch() has left at `saved`, which ends at `top` and whose memory is never unmapped. Others
// may take the stack up meanwhile: it is copied, and what comes of the copy counts only if `is_still(argument)`, which is
// asked several times, says that nobody has. False: somebody has. The library's own innermost frames are left out.
using still_function = bool (*)(void* argument) noexcept;
bool take_switched_frames(stack_frames& to, const void* saved, const void* top, still_function is_still,
                          void* argument) noexcept;

// True for a (mangled) name of the library's own insides, which are where reports come from and waits end up. Its public
// functions are shown.
bool is_internal(std::string_view name) noexcept;

// Calls work(argument) on a large stack, while nobody else may use symbol.hpp. False, and nothing is called, if that
// cannot be had within two seconds.
bool run_with_symbols(void (*work)(void*), void* argument) noexcept;

}  // namespace turnkey::platform
