// What higher layers want to know of waits. Null by default; parking and runtime call them and know nothing of who answers.
#pragma once

#include <atomic>

namespace turnkey::parking {

// Called by an OS thread that has been parked for 100 ms, once for that wait. The runtime uses it to start its monitor
// in a program that has no goroutines.
extern std::atomic<void (*)() noexcept> on_long_wait;

// Called by the monitor when no goroutine runs or can be woken by a timer. If the rest of the process is asleep as well,
// that ends the program. True: it might be later; ask again.
extern std::atomic<bool (*)() noexcept> on_all_asleep;

// Called by the monitor when a SIGQUIT asks for it: writes the state of all threads of control to stderr. Must not allocate.
extern std::atomic<void (*)() noexcept> on_dump;

}  // namespace turnkey::parking
