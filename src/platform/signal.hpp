// Signal handlers, beside those that the program has.
#pragma once

#include <csignal>

namespace turnkey::platform {

using signal_handler = void (*)(int signal, siginfo_t* info, void* context) noexcept;

// Installs a handler that runs on the signal stack where there is one, and restarts system calls. `previous`: what was there.
bool handle_signal(int signal, signal_handler handler, struct sigaction& previous) noexcept;
// The same if nobody handles or ignores it; false if somebody does.
bool handle_if_default(int signal, signal_handler handler) noexcept;
// In a handler: lets `previous` have the signal.
void pass_on(const struct sigaction& previous, int signal, siginfo_t* info, void* context) noexcept;
// In a handler: what the signal does to a program that does not handle it.
void take_default(int signal) noexcept;
// Whether this process is a child that fork() has made since handle_if_default.
[[nodiscard]] bool is_forked() noexcept;

}  // namespace turnkey::platform
