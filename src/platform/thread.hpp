// OS threads.
#pragma once

#include <cstdint>
#include <string_view>

namespace turnkey::platform {

// The kernel's id of the calling thread, cached.
std::int32_t thread_id() noexcept;

// The kernel's id of this process; its first thread has the same.
std::int32_t process_id() noexcept;

// Whether that thread of this process has not ended.
bool is_thread_there(std::int32_t thread) noexcept;
// Its name, as the kernel knows it; empty if it has ended, or where there is no /proc. Async-signal-safe.
std::string_view thread_name(std::int32_t thread, char (&buffer)[16]) noexcept;

// Starts a detached thread; false if there is none to be had. `name`: at most 15 bytes. `takes_signals`: false blocks
// every signal that is not a fault in it.
bool start_thread(const char* name, bool takes_signals, void (*body)(void*), void* argument) noexcept;

void yield_thread() noexcept;

// Calls visit(tid, argument) for each live thread of this process. False if some may be missing: one has ended meanwhile, or
// there is no /proc.
bool for_each_thread(void (*visit)(std::int32_t tid, void* argument), void* argument) noexcept;

// Calls `hook(status)` first thing when the process exits by exit() or by returning from main.
void at_process_exit(void (*hook)(int status)) noexcept;
// Calls `hook` once when the process exits, by end_process() too: for what is to be written at the end. At most 8 of them,
// from static constructors.
void at_process_end(void (*hook)() noexcept) noexcept;
// Ends the process now, with this status: standard streams are flushed, nothing is destroyed.
[[noreturn]] void end_process(int status) noexcept;

}  // namespace turnkey::platform
