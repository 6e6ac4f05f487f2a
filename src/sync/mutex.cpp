// turnkey::mutex: the fast paths. The protocol is in sync/lock_core.hpp.
#include <turnkey/mutex.hpp>

#include "parking/control.hpp"
#include "parking/hooks.hpp"
#include "platform/rseq.hpp"
#include "platform/sanitizer.hpp"
#include "sync/lock_core.hpp"

namespace turnkey {

using parking::control;
using parking::lock_watch;
using parking::reason;

// The functions below are never inlined, not even by a link-time optimiser: they read thread-locals that a caller's park
// may change.

[[gnu::noinline]] void mutex::lock() noexcept {
  std::uint32_t free = 0;
  const std::uint32_t token = parking::current_token();
  if (token == 0) [[unlikely]] {
    lock_protocol::lock_mutex_told(core_, this);
    return;
  }
  // order: acquire -- pairs with the releases of unlock: what the last holder did is seen.
  if (lock_protocol::state(core_).compare_exchange_strong(free, lock_protocol::held, std::memory_order_acquire,
                                                          std::memory_order_relaxed)) [[likely]] {
    lock_protocol::set_owner(core_, token);
  } else {
    lock_protocol::lock_slow(core_, lock_protocol::mutex_kind, wait_limit(), this);
  }
  platform::tsan_acquire(this);
}

[[gnu::noinline]] void mutex::do_unlock() noexcept {
  platform::tsan_release(this);
  auto& state = lock_protocol::state(core_);
  if (platform::has_rseq.load(std::memory_order_relaxed)) [[likely]] {
    // The owner with the word: one store more would be the dearest part of this function.
    const std::uint32_t owner = lock_protocol::released_owner(core_);
    if (platform::restartable_store_pair(state, lock_protocol::held, 0, owner)) [[likely]]
      return;
    const std::uint32_t word = lock_protocol::state_of(core_);
    if (lock_protocol::is_calm_and_awaited(word) &&
        platform::restartable_store_pair(state, word, word & ~lock_protocol::held, owner))
      return;
    lock_protocol::note_release(core_);
  } else {
    // Asked twice when it is there, so that who is not watched keeps no register for it.
    if (lock_watch() != nullptr) [[unlikely]] {
      control& me = control::caller();
      lock_watch()->unlocks(me, {this, reason::mutex_lock});
      // The quick way: that the watcher must be told first is all that closed it, if it was ever open.
      if (platform::is_rseq_registered &&
          platform::restartable_store_pair(state, lock_protocol::held, 0, lock_protocol::released_owner(core_)))
        return;
    }
    lock_protocol::note_release(core_);
    std::uint32_t held = lock_protocol::held;
    // order: release -- pairs with the acquires of lock.
    if (state.compare_exchange_strong(held, 0, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  lock_protocol::unlock_slow(core_, lock_protocol::mutex_kind);
  asm volatile("");  // no tail call: a stack must show who unlocks
}

[[gnu::noinline]] bool mutex::try_lock() noexcept {
  if (!lock_protocol::take(core_, lock_protocol::mutex_kind)) return false;
  if (const std::uint32_t token = parking::current_token(); token != 0) [[likely]] {
    lock_protocol::set_owner(core_, token);
  } else {
    lock_protocol::tell_taken(core_, lock_protocol::mutex_kind, this);
  }
  platform::tsan_acquire(this);
  return true;
}

[[gnu::noinline]] bool mutex::lock_within(const wait_limit& limit) noexcept {
  const std::uint32_t token = parking::current_token();
  const bool has_it = token != 0 ? lock_protocol::try_lock(core_, lock_protocol::mutex_kind, token) ||
                                       lock_protocol::lock_slow(core_, lock_protocol::mutex_kind, limit, this)
                                 : lock_protocol::lock_told(core_, lock_protocol::mutex_kind, limit, this);
  if (has_it) platform::tsan_acquire(this);
  return has_it;
}

}  // namespace turnkey
