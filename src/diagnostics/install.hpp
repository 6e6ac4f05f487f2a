// What of the diagnostics hooks itself into the layers below, before main. Each file has one function that does it; they
// are all called in diagnostics.cpp, which every program links (see parking/hooks.cpp).
#pragma once

namespace turnkey::diagnostics {

void watch_for_all_asleep() noexcept;
void watch_for_lock_cycles() noexcept;

}  // namespace turnkey::diagnostics
