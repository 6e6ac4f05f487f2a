// turnkey::rw_mutex: the fast paths. The protocol is in sync/lock_core.hpp.
//
// What ThreadSanitizer is told: writers release and acquire the lock's own address, which readers acquire; readers release
// another address inside it, which writers acquire. So readers are not ordered among each other.
#include <turnkey/rw_mutex.hpp>

#include "parking/control.hpp"
#include "parking/hooks.hpp"
#include "platform/sanitizer.hpp"
#include "sync/lock_core.hpp"
#include "sync/lock_spread.hpp"

namespace turnkey {

using parking::control;
using parking::lock_watch;
using parking::lock_watcher;
using parking::reason;

namespace {

// The read locks that this OS thread counts in words before it has one spread.
[[gnu::tls_model("initial-exec")]] thread_local constinit std::int32_t reads_left = 64;

void* readers_of(rw_mutex* mu) noexcept { return reinterpret_cast<char*>(mu) + 8; }

void acquired_for_reading(rw_mutex* mu, control& me) noexcept {
  me.note_read(mu);
  platform::tsan_acquire(mu);
}

void acquired_for_writing(rw_mutex* mu) noexcept {
  platform::tsan_acquire(mu);
  platform::tsan_acquire(readers_of(mu));
}

}  // namespace

[[gnu::noinline]] void rw_mutex::lock() noexcept {
  static_assert(idle == lock_protocol::armed);
  std::uint32_t free = idle;
  const std::uint32_t token = parking::current_token();
  if (token == 0) [[unlikely]] {
    lock_within(lock_protocol::no_limit);
    return;
  }
  // order: acquire -- pairs with the releases of unlock and unlock_shared: what the holders did is seen.
  if (lock_protocol::state(core_).compare_exchange_strong(free, idle | lock_protocol::held, std::memory_order_acquire,
                                                          std::memory_order_relaxed)) [[likely]] {
    lock_protocol::set_owner(core_, token);
  } else {
    lock_protocol::lock_slow(core_, lock_protocol::rw_mutex_kind, wait_limit(), this);
  }
  acquired_for_writing(this);
}

[[gnu::noinline]] void rw_mutex::do_unlock() noexcept {
  platform::tsan_release(this);
  // Asked twice when it is there, so that who is not watched keeps no register for it.
  if (lock_watch() != nullptr) [[unlikely]] {
    control& me = control::caller();
    lock_watch()->unlocks(me, {this, reason::rw_mutex_lock});
  }
  lock_protocol::note_release(core_);
  std::uint32_t held = idle | lock_protocol::held;
  // order: release -- pairs with the acquires of lock and lock_shared.
  if (!lock_protocol::state(core_).compare_exchange_strong(held, idle, std::memory_order_release,
                                                           std::memory_order_relaxed)) {
    lock_protocol::unlock_slow(core_, lock_protocol::rw_mutex_kind);
    asm volatile("");  // no tail call: a stack must show who unlocks
  }
}

[[gnu::noinline]] bool rw_mutex::try_lock() noexcept {
  if (!lock_protocol::take(core_, lock_protocol::rw_mutex_kind)) return false;
  if (const std::uint32_t token = parking::current_token(); token != 0) [[likely]] {
    lock_protocol::set_owner(core_, token);
  } else {
    lock_protocol::tell_taken(core_, lock_protocol::rw_mutex_kind, this);
  }
  acquired_for_writing(this);
  return true;
}

[[gnu::noinline]] bool rw_mutex::lock_within(const wait_limit& limit) noexcept {
  const std::uint32_t token = parking::current_token();
  const bool has_it = token != 0 ? lock_protocol::try_lock(core_, lock_protocol::rw_mutex_kind, token) ||
                                       lock_protocol::lock_slow(core_, lock_protocol::rw_mutex_kind, limit, this)
                                 : lock_protocol::lock_told(core_, lock_protocol::rw_mutex_kind, limit, this);
  if (has_it) acquired_for_writing(this);
  return has_it;
}

// lock_shared and do_unlock_shared serve a lock that nobody disputes, and call the function behind them if that is not so:
// only then do they need a stack frame. Stacks do not show those functions: see platform/stack_trace.cpp.
// Without a token the caller is new, or watched: see parking::watch_locks().
[[gnu::noinline]] void rw_mutex::lock_shared() noexcept {
  if (parking::current_token() != 0 &&
      (lock_protocol::count_reader(core_, 1) || (--reads_left > 0 && lock_protocol::add_reader(core_)))) [[likely]] {
    parking::current_control->note_read(this);
    platform::tsan_acquire(this);
    return;
  }
  lock_shared_disputed();
  asm volatile("");  // no tail call: a stack must show who locks
}

[[gnu::noinline]] void rw_mutex::lock_shared_disputed() noexcept {
  if (parking::current_token() == 0) [[unlikely]] {
    lock_shared_within(lock_protocol::no_limit);
    return;
  }
  control& me = *parking::current_control;
  const bool is_to_spread = reads_left <= 0;
  if (is_to_spread) reads_left = spreading.reads.load(std::memory_order_relaxed);
  if (!lock_protocol::try_lock_shared(core_)) lock_protocol::lock_shared_slow(core_, wait_limit(), this);
  if (is_to_spread) lock_protocol::spread(core_);
  acquired_for_reading(this, me);
}

[[gnu::noinline]] void rw_mutex::do_unlock_shared() noexcept {
  if (!platform::is_tsan && parking::current_token() != 0) [[likely]] {
    control& me = *parking::current_control;
    if (me.is_last_read(this) && (lock_protocol::count_reader(core_, -1) || lock_protocol::drop_reader(core_)))
        [[likely]] {
      me.forget_last_read();
      return;
    }
  }
  unlock_shared_disputed();
  asm volatile("");  // no tail call: a stack must show who unlocks
}

[[gnu::noinline]] void rw_mutex::unlock_shared_disputed() noexcept {
  platform::tsan_release(readers_of(this));
  control& me = control::caller();
  if (parking::current_token() == 0) [[unlikely]] {
    if (const lock_watcher* const watch = lock_watch()) watch->unlocks(me, {this, reason::rw_mutex_lock_shared});
  }
  if (!me.forget_read(this)) [[unlikely]] {
    if (auto* const hook = parking::on_foreign_unlock.load(std::memory_order_acquire)) hook(this);
    lock_protocol::arm(core_, lock_protocol::rw_mutex_kind);  // whether anybody has it is not known while it is spread
  }
  lock_protocol::unlock_shared(core_);
  asm volatile("");
}

[[gnu::noinline]] bool rw_mutex::try_lock_shared() noexcept {
  control& me = control::caller();
  if (!lock_protocol::try_lock_shared(core_)) return false;
  if (parking::current_token() == 0) [[unlikely]]
    lock_protocol::tell_taken_shared(core_, this);
  acquired_for_reading(this, me);
  return true;
}

[[gnu::noinline]] bool rw_mutex::lock_shared_within(const wait_limit& limit) noexcept {
  control& me = control::caller();
  const bool has_it = parking::current_token() != 0 ? lock_protocol::lock_shared_slow(core_, limit, this)
                                                    : lock_protocol::lock_shared_told(core_, limit, this);
  if (has_it) acquired_for_reading(this, me);
  return has_it;
}

void rw_mutex::gather_readers() noexcept { lock_protocol::arm(core_, lock_protocol::rw_mutex_kind); }

}  // namespace turnkey
