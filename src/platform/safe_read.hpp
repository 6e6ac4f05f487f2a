// Reading memory that may change, or not be there.
#pragma once

#include <cstddef>

namespace turnkey::platform {

// Copies `size` bytes; false if there is no memory, and then `to` holds anything. errno stays. Async-signal-safe.
bool read_safely(void* to, const void* from, std::size_t size) noexcept;

}  // namespace turnkey::platform
