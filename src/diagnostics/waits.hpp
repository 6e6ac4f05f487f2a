// Who waits, for what, and who could end it: read off the records of all threads of control, for reports.
#pragma once

#include <cstdint>
#include <string_view>

#include "parking/control.hpp"
#include "parking/thread_control.hpp"
#include "parking/waiter.hpp"
#include "platform/report.hpp"
#include "runtime/goroutine_pool.hpp"

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
// Nobody has its record: it has ended, or there was none yet.
bool has_ended(const parking::control& who) noexcept;

// The first record, used or not, of which is_wanted(const control&) is true; null: none. The OS threads' come first, then the
// goroutines'. They go on meanwhile, and end; a record that is made meanwhile may be passed over.
template <class IsWanted>
const parking::control* find_control_if(IsWanted is_wanted) noexcept {
  for (const parking::thread_control* t = parking::thread_control::all(); t != nullptr; t = t->next()) {
    if (is_wanted(*t)) return t;
  }
  const std::uint32_t count = runtime::goroutine_pool::record_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    const runtime::goroutine& g = runtime::goroutine_pool::record(i);
    if (is_wanted(g)) return &g;
  }
  return nullptr;
}
// visit(const control&) for each record, used or not, in the same order.
template <class Visit>
void for_each_control(Visit visit) noexcept {
  find_control_if([&](const parking::control& who) { return visit(who), false; });
}

// Who has the lock that somebody waits for; null: it is not a lock, nobody has it, or readers have it.
const parking::control* holder_of(const wait_state& wait) noexcept;

// What a wait of that kind is for: `mutex`, `channel`; empty: nothing that has a name.
std::string_view object_kind(parking::reason why) noexcept;
// ` [sync.Mutex.Lock, 12.4 s]`: the reason, and for how long it has waited; of several: ` [chan receive, 1.2 s to 3.0 s]`.
void write_reason(platform::text& out, const wait_state& wait, std::int64_t least, std::int64_t most) noexcept;
// `: waits for mutex 0x..., held by goroutine 9 "audit"`. What the object is like only if the wait still lasts.
void write_object(platform::text& out, const wait_state& wait) noexcept;

}  // namespace turnkey::diagnostics
