// Who waits, for what, and who could end it: read off the records of all threads of control, for reports.
#pragma once

#include <cstdint>
#include <string_view>

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

// The control that has this token, or null. It may have ended, while nobody else has its record.
const parking::control* find_control(std::uint32_t token) noexcept;
// Who has the lock that somebody waits for; null: it is not a lock, nobody has it, or readers have it.
const parking::control* holder_of(const wait_state& wait) noexcept;

// What a wait of that kind is for: `mutex`, `channel`; empty: nothing that has a name.
std::string_view object_kind(parking::reason why) noexcept;
// ` [sync.Mutex.Lock, 12.4 s]`: the reason, and for how long it has waited; of several: ` [chan receive, 1.2 s to 3.0 s]`.
void write_reason(platform::text& out, const wait_state& wait, std::int64_t least, std::int64_t most) noexcept;
// `: waits for mutex 0x..., held by goroutine 9 "audit"`. What the object is like only if the wait still lasts.
void write_object(platform::text& out, const wait_state& wait) noexcept;

}  // namespace turnkey::diagnostics
