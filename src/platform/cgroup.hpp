// The CPU quota of a control group. Internal to cpu.cpp, and here so that a test can give it files of its own.
#pragma once

namespace turnkey::platform {

// The CPUs, rounded up, that the tightest quota allows of the groups named in `membership_file` (as /proc/self/cgroup
// is written) and of those above them; `mount` is where the groups' folders are. INT_MAX: no quota.
int cgroup_cpus(const char* membership_file, const char* mount) noexcept;

}  // namespace turnkey::platform
