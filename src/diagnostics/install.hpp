// What of the diagnostics hooks itself into the layers below, before main. Each file has one function that does it; they
// are all called in diagnostics.cpp, which every program links (see parking/hooks.cpp).
#pragma once

#include <cstdint>

namespace turnkey::diagnostics {

void watch_for_all_asleep() noexcept;
void watch_for_lock_cycles() noexcept;
void offer_dump() noexcept;
// `for_profile`: how long each is held, for the profile.
void watch_locks(bool for_profile) noexcept;
void start_trace_as_set() noexcept;
void watch_os_mutexes() noexcept;

// Whether that OS thread is one that only watches: it can wake nobody.
bool is_watching_thread(std::int32_t thread) noexcept;

}  // namespace turnkey::diagnostics
