// Names for code addresses, for reports: no allocation, no locks but the dynamic loader's.
#pragma once

#include <cstdint>

#include "platform/report.hpp"

namespace turnkey::platform {

struct symbol {
  const char* name = nullptr;    // mangled; null if nobody knows
  const char* module = nullptr;  // the file's name without its folder; null if there is none
  std::uintptr_t offset = 0;     // the address, as addr2line wants it for that module
};

// One thread at a time: it remembers what it has found.
symbol find_symbol(std::uintptr_t address) noexcept;

// Writes a name as people write it; as it is if it is not mangled, or is mangled in a way that is not known here.
void demangle(text& to, const char* name) noexcept;

}  // namespace turnkey::platform
