// The processor: what a spin loop says to it, and how many of them this process may use.
#pragma once

namespace turnkey::platform {

// Tells the core that this is a spin loop. About 10 to 60 ns.
void pause() noexcept;
// pause(), n times. What the caller looks at afterwards is not loaded earlier, not even speculatively.
void pause(int n) noexcept;

// The CPUs that this process may use: the affinity mask, capped by the cgroup's CPU quota (v2 and v1) rounded up.
// At least 1. Reads files: not for hot paths.
int available_cpus() noexcept;

// The number of the CPU that the calling thread is on; -1: not known. A few nanoseconds.
int current_cpu() noexcept;

// True if spinning can help: this process may use more than one CPU. Cached.
bool is_multiprocessor() noexcept;

}  // namespace turnkey::platform
