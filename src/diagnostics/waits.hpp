// Who waits, for what, and who could end it: read off the records of all threads of control, for reports.
#pragma once

#include <cstdint>

#include "parking/control.hpp"
#include "parking/waiter.hpp"
#include "platform/report.hpp"

namespace turnkey::diagnostics {

// A wait as it was at one moment. A copy, since the waiter goes when its wait ends.
struct wait_state {
  const parking::control* who = nullptr;
  const parking::waiter* at = nullptr;
  parking::reason why{};
  const void* object = nullptr;
  std::int64_t since = 0;
  bool is_parked = false;
};

// What `who` waits for; is_parked is false if it does not. Only if `who` cannot run meanwhile is all of it true.
wait_state read_wait(const parking::control& who) noexcept;

// ` [sync.Mutex.Lock, 12.4 s]`: the reason, and for how long it has waited; of several: ` [chan receive, 1.2 s to 3.0 s]`.
void write_reason(platform::text& out, const wait_state& wait, std::int64_t least, std::int64_t most) noexcept;
// `: waits for mutex 0x..., held by goroutine 9 "audit"`. What the object is like only if the wait still lasts.
void write_object(platform::text& out, const wait_state& wait) noexcept;

}  // namespace turnkey::diagnostics
