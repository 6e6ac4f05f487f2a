// What is mapped for execution: the program, its libraries, the kernel's own.
#pragma once

#include <cstdint>
#include <span>

namespace turnkey::platform {

struct mapping {
  std::uintptr_t start = 0;
  std::uintptr_t limit = 0;
  std::uint64_t file_offset = 0;
  const char* path = "";  // valid during the visit only
  std::span<const unsigned char> build_id;
};

// Calls visit(mapping, argument) for each, the program first. Takes the dynamic loader's lock meanwhile.
void for_each_mapping(void (*visit)(const mapping&, void* argument), void* argument) noexcept;

}  // namespace turnkey::platform
