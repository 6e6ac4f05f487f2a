// turnkey::rw_mutex: the fast paths. The protocol is in sync/lock_core.hpp.
//
// What ThreadSanitizer is told: writers release and acquire the lock's own address, which readers acquire; readers release
// another address inside it, which writers acquire. So readers are not ordered among each other.
#include <turnkey/rw_mutex.hpp>

#include "parking/control.hpp"
#include "platform/sanitizer.hpp"
#include "sync/lock_core.hpp"

namespace turnkey {

namespace {

constexpr lock_protocol::kind rw_mutex_kind{lock_protocol::armed, parking::reason::rw_mutex_lock,
                                            "sync: Unlock of unlocked RWMutex"};

void* readers_of(rw_mutex* mu) noexcept { return reinterpret_cast<char*>(mu) + 8; }

void acquired_for_writing(rw_mutex* mu) noexcept {
  platform::tsan_acquire(mu);
  platform::tsan_acquire(readers_of(mu));
}

}  // namespace

[[gnu::noinline]] void rw_mutex::lock() noexcept {
  static_assert(idle == lock_protocol::armed);
  std::uint32_t free = idle;
  const std::uint32_t token = parking::token_of_current();
  // order: acquire -- pairs with the releases of unlock and unlock_shared: what the holders did is seen.
  if (lock_protocol::state(core_).compare_exchange_strong(free, idle | lock_protocol::held, std::memory_order_acquire,
                                                          std::memory_order_relaxed)) [[likely]] {
    lock_protocol::set_owner(core_, token);
  } else {
    lock_protocol::lock_slow(core_, rw_mutex_kind, wait_limit(), this);
  }
  acquired_for_writing(this);
}

[[gnu::noinline]] void rw_mutex::unlock() noexcept {
  platform::tsan_release(this);
  std::uint32_t held = idle | lock_protocol::held;
  // order: release -- pairs with the acquires of lock and lock_shared.
  if (!lock_protocol::state(core_).compare_exchange_strong(held, idle, std::memory_order_release,
                                                           std::memory_order_relaxed)) {
    lock_protocol::unlock_slow(core_, rw_mutex_kind);
    asm volatile("");  // no tail call: a stack must show who unlocks
  }
}

[[gnu::noinline]] bool rw_mutex::try_lock() noexcept {
  const bool has_it = lock_protocol::try_lock(core_);
  if (has_it) acquired_for_writing(this);
  return has_it;
}

bool rw_mutex::lock_within(const wait_limit& limit) noexcept {
  const bool has_it = lock_protocol::try_lock(core_) || lock_protocol::lock_slow(core_, rw_mutex_kind, limit, this);
  if (has_it) acquired_for_writing(this);
  return has_it;
}

[[gnu::noinline]] void rw_mutex::lock_shared() noexcept {
  if (!lock_protocol::try_lock_shared(core_)) lock_protocol::lock_shared_slow(core_, wait_limit(), this);
  platform::tsan_acquire(this);
}

[[gnu::noinline]] void rw_mutex::unlock_shared() noexcept {
  platform::tsan_release(readers_of(this));
  lock_protocol::unlock_shared(core_);
}

[[gnu::noinline]] bool rw_mutex::try_lock_shared() noexcept {
  const bool has_it = lock_protocol::try_lock_shared(core_);
  if (has_it) platform::tsan_acquire(this);
  return has_it;
}

bool rw_mutex::lock_shared_within(const wait_limit& limit) noexcept {
  const bool has_it = lock_protocol::lock_shared_slow(core_, limit, this);
  if (has_it) platform::tsan_acquire(this);
  return has_it;
}

}  // namespace turnkey
