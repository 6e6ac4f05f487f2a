// File and line of a code address, for reports. Uses libdw of elfutils if it is there at run time; nothing is linked to it.
//
// Reading debug information allocates and opens files. So there are no lines in a fault handler, when memory is short, while
// without_source_lines lives, under AddressSanitizer, and with TURNKEY_SOURCE_LINES=off: a report then names module and offset only.
#pragma once

#include <cstdint>

namespace turnkey::platform {

struct source_line {
  const char* function = nullptr;  // mangled, if it has such a name; null: not known
  const char* file = nullptr;      // as the debug information has it
  int line = 0;
};

// The functions that were inlined at an address, innermost first, and last the one that they were inlined into. Those of
// the library and of std are left out: their place is the line that calls them. Empty: not known.
struct source_lines {
  static constexpr int most = 8;
  source_line at[most];
  int count = 0;
};

// One thread at a time: it remembers what it has found. The answer is good until the next call. `address`: in the
// instruction that is meant, so one before a return address.
const source_lines& find_source_lines(std::uintptr_t address) noexcept;

// Whether the mangled name is one of the library's or of the standard library's, which do not interest a user.
[[nodiscard]] bool is_library_function(const char* name) noexcept;

// While one lives on this thread there are no lines: for reports that must not allocate.
class without_source_lines {
 public:
  without_source_lines() noexcept;
  ~without_source_lines();
  without_source_lines(const without_source_lines&) = delete;
  without_source_lines& operator=(const without_source_lines&) = delete;
};

}  // namespace turnkey::platform
