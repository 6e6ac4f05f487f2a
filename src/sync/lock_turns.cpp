// Turns: for how long one may keep taking a lock that another is first in line for. See "Who goes next" in sync/lock_core.hpp.
#include "parking/control.hpp"
#include "platform/clock.hpp"
#include "platform/vain_tries.hpp"
#include "sync/lock_core.hpp"
#include "sync/lock_polling.hpp"

namespace turnkey {

namespace {

constexpr std::uint32_t turn_check = 64;  // acquisitions between two looks at the clock
constexpr looks long_looks{6, 2};         // of a goroutine that could queue up as well: 1.6 us
constexpr std::int64_t roomy = 400;       // nanoseconds for each acquisition

// The lock that this OS thread keeps taking from others that want it, since when, and who of its goroutines did last.
struct streak {
  const lock_core* lock;
  std::int64_t since;
  std::uint32_t count;
  std::uint32_t token;
};
[[gnu::tls_model("initial-exec")]] thread_local constinit streak turn{nullptr, 0, 0, 0};

// What this OS thread has last tried before it queued up, at which lock.
struct tries_at_lock {
  const lock_core* lock;
  platform::vain_tries tries;

  platform::vain_tries& at(const lock_core& other) noexcept {
    if (lock != &other) *this = {&other, {}};
    return tries;
  }
};
[[gnu::tls_model("initial-exec")]] thread_local constinit tries_at_lock room{nullptr, {}};        // to find room
[[gnu::tls_model("initial-exec")]] thread_local constinit tries_at_lock insistence{nullptr, {}};  // to give way again

void note(platform::vain_tries& tries, bool has_paid) noexcept {
  has_paid ? tries.note_success() : tries.note_failure();
}

// Whether this OS thread's turn is still on: nobody else has had the lock since it did. A thread keeps its turn as well when
// another has been in between.
inline bool has_turn(const lock_core& lock, std::uint32_t token) noexcept {
  return turn.lock == &lock && (lock_protocol::last_owner(lock) == turn.token || parking::is_thread_token(token));
}

// The usual case of may_overtake: the turn is on, and it is not time to look at the clock.
inline bool goes_on(const lock_core& lock, std::uint32_t token) noexcept {
  if (turn.count % turn_check == 0 || !has_turn(lock, token)) return false;
  ++turn.count;
  turn.token = token;
  return true;
}

}  // namespace

// The functions that touch `turn`, `room` or `insistence` are never inlined: lock_contended parks, and may be on another OS thread afterwards.

// Takes a lock that is free but armed, or wanted by others, if that is the caller's right.
[[gnu::noinline]] lock_protocol::attempt lock_protocol::overtake(lock_core& lock, const kind& kind) noexcept {
  const std::uint32_t token = parking::token_of_current();
  std::uint32_t word = state_of(lock);
  while (is_free_for_writer(word, kind, false)) {
    if ((word & awake) != 0 && !goes_on(lock, token) && !may_overtake(lock, kind, token, false)) {
      return end_turn(lock, word);
    }
    // order: acquire -- pairs with the releases of unlock: what the last holder did is seen.
    if (lock.state_.compare_exchange_weak(word, word | held, std::memory_order_acquire, std::memory_order_relaxed)) {
      set_owner(lock, token);
      return attempt::taken;
    }
  }
  return attempt::refused;
}

// True if the caller may take a lock that is free although somebody else is first in line for it. `has_room`: it has just been seen
// to stay free.
[[gnu::noinline]] bool lock_protocol::may_overtake(lock_core& lock, const kind& kind, std::uint32_t token,
                                                   bool has_room) noexcept {
  if (has_turn(lock, token)) {
    turn.token = token;
    return turn.count++ % turn_check != 0 || platform::now() - turn.since <= turn_length;
  }
  const bool is_passed_around = !parking::is_thread_token(token) && last_owner(lock) != token && !kind.has_readers();
  if (is_passed_around && !has_room && !stays_free(lock.state_, long_looks)) return false;
  turn = {&lock, platform::now(), 0, token};
  return true;
}

// Looks for room beside the holder. A look slows that one down, so it is not repeated soon if it was in vain.
[[gnu::noinline]] bool lock_protocol::finds_room(lock_core& lock) noexcept {
  platform::vain_tries& tries = room.at(lock);
  if (tries.leave_out()) return false;
  const bool found = has_room(lock.state_);
  note(tries, found);
  return found;
}

// Where readers stay in the lock for long, to give way more than once only makes a writer late.
[[gnu::noinline]] bool lock_protocol::is_worth_insisting(const lock_core& lock) noexcept {
  return !insistence.at(lock).leave_out();
}
[[gnu::noinline]] void lock_protocol::note_insisting(const lock_core& lock, bool has_paid) noexcept {
  note(insistence.at(lock), has_paid);
}

// It may not (any more). Unless it is to give way, the lock is reserved now for the one that is first in line.
[[gnu::noinline]] lock_protocol::attempt lock_protocol::end_turn(lock_core& lock, std::uint32_t word) noexcept {
  if (turn.lock != &lock || (word & latched) != 0) return attempt::refused;
  turn.lock = nullptr;
  const bool has_room = platform::now() - turn.since > turn.count * roomy;
  if (has_room && !parking::is_thread_token(turn.token)) return attempt::is_to_give_way;
  lock.state_.compare_exchange_strong(word, word | reserved, std::memory_order_relaxed);
  return attempt::refused;
}

// It has the lock after a wait.
[[gnu::noinline]] void lock_protocol::begin_turn(lock_core& lock, std::uint32_t token) noexcept {
  turn = {&lock, platform::now(), 0, token};
}

// It goes to sleep.
[[gnu::noinline]] void lock_protocol::leave_turn(lock_core& lock) noexcept {
  if (turn.lock == &lock) turn.lock = nullptr;
}

}  // namespace turnkey
