// What higher layers want to know of waits. Null by default; parking and runtime call them and know nothing of who answers.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey::parking {

// Called by an OS thread that has been parked for 100 ms, once for that wait. The runtime uses it to start its monitor
// in a program that has no goroutines.
extern std::atomic<void (*)() noexcept> on_long_wait;

// Called by the monitor when no goroutine runs or can be woken by a timer. If the rest of the process is asleep as well,
// that ends the program. True: it might be later; ask again.
extern std::atomic<bool (*)() noexcept> on_all_asleep;

// Called by whoever has let waiters of a mutex or rw_mutex in, after its last access to that: for how many nanoseconds
// they and those behind them have waited. See parking/contention.hpp.
extern std::atomic<void (*)(std::int64_t delay) noexcept> on_contention;

}  // namespace turnkey::parking
