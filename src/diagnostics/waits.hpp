// Who waits, for what, and who could end it: read off the records of all threads of control, for reports.
#pragma once

#include <cstdint>

#include "parking/control.hpp"
#include "parking/waiter.hpp"
#include "platform/report.hpp"

namespace turnkey::diagnostics {

// A wait as it was at one moment. Copied field by field, since the waiter goes when its wait ends.
struct wait_state {
  const parking::control* who = nullptr;
  parking::reason why{};
  const void* object = nullptr;
  std::int64_t since = 0;
  bool is_parked = false;
  bool is_limited = false;
};

// What `who` waits for; is_parked is false if it does not. Only if `who` cannot run meanwhile is all of it true.
wait_state read_wait(const parking::control& who) noexcept;

// The control that has this token, or null. It may have ended, while nobody else has its record.
const parking::control* find_control(std::uint32_t token) noexcept;

// The stack of one that is blocked or about to block, or that calls. Nothing if there is no way to know.
void write_stack(platform::text& out, const parking::control& who) noexcept;

// `goroutine 17 "transfer" [sync.Mutex.Lock, 12.4 s]: waits for mutex 0x..., held by goroutine 9 "audit"`, and its stack.
void write_wait(platform::text& out, const wait_state& wait, std::int64_t now) noexcept;

}  // namespace turnkey::diagnostics
