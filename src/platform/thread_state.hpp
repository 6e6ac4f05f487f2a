// What the kernel knows of another thread of this process.
#pragma once

#include <cstdint>

namespace turnkey::platform {

// True if the thread runs or is ready to run; false if it sleeps in the kernel, has ended, or cannot be asked about.
// Reads a file: about 10 us.
bool is_thread_runnable(std::int32_t thread) noexcept;

}  // namespace turnkey::platform
