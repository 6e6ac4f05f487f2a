// How mutex and rw_mutex tell the lock watcher that they are locked. Whoever is watched has no current_token, and comes here for
// want of it; so does a thread of control that is new, and a goroutine whose token was taken away because it has had its worker for
// long enough.
#include "parking/control.hpp"
#include "parking/hooks.hpp"
#include "platform/sanitizer.hpp"
#include "sync/lock_core.hpp"

namespace turnkey {

using parking::control;
using parking::lock_watcher;
using parking::reason;

namespace {

// To watch->locked() or locked_at_once(): before that, what is new.
const lock_watcher* watcher_of(lock_core& lock, const void* object) noexcept {
  const lock_watcher* const watch = parking::lock_watch();
  if (watch != nullptr && lock_protocol::is_new(lock)) watch->is_new(object);
  return watch;
}

// try_it(), or else wait(), which has that limit.
template <class Try, class Wait>
bool lock_and_tell(lock_core& lock, control& me, const void* object, reason how, const wait_limit& limit, Try try_it,
                   Wait wait) noexcept {
  const lock_watcher* const watch = watcher_of(lock, object);
  if (watch == nullptr) return try_it() || wait();
  const bool makes_order = limit.is_unlimited();
  if (try_it()) {
    (makes_order ? watch->locked_at_once : watch->locked)(me, {object, how});
    return true;
  }
  if (makes_order) watch->wants(me, {object, how});
  if (!wait()) return false;
  watch->locked(me, {object, how});
  return true;
}

}  // namespace

// Takes what is free and was used before: true.
inline bool lock_protocol::take_used(lock_core& lock, const kind& kind, std::uint32_t token) noexcept {
  std::uint32_t free = kind.idle;
  // order: acquire -- pairs with the releases of unlock: what the last holder did is seen.
  if (lock.owner_.load(std::memory_order_relaxed) == 0 ||
      !lock.state_.compare_exchange_strong(free, free | held, std::memory_order_acquire, std::memory_order_relaxed))
      [[unlikely]]
    return false;
  set_owner(lock, token);
  return true;
}

// A lock without a limit, of what can be taken so, takes no more than the call of the watcher; that of a mutex no stack
// frame either.
[[gnu::noinline]] void lock_protocol::lock_mutex_told(lock_core& lock, void* object) noexcept {
  control* const me = parking::current_control;
  const lock_watcher* const watch = parking::lock_watch();
  if (me != nullptr && watch != nullptr && !platform::is_tsan && take_used(lock, mutex_kind, me->token())) [[likely]] {
    watch->locked_at_once(*me, {object, mutex_kind.why});
  } else {
    lock_mutex_told_slowly(lock, object);
  }
}

[[gnu::noinline]] void lock_protocol::lock_mutex_told_slowly(lock_core& lock, void* object) noexcept {
  lock_told_slowly(lock, mutex_kind, no_limit, object);
  platform::tsan_acquire(object);
}

[[gnu::noinline]] bool lock_protocol::lock_told(lock_core& lock, const kind& kind, const wait_limit& limit,
                                                const void* object) noexcept {
  control* const me = parking::current_control;
  const lock_watcher* const watch = parking::lock_watch();
  if (me == nullptr || watch == nullptr || &limit != &no_limit || !take_used(lock, kind, me->token())) [[unlikely]]
    return lock_told_slowly(lock, kind, limit, object);
  watch->locked_at_once(*me, {object, kind.why});
  return true;
}

[[gnu::noinline]] bool lock_protocol::lock_told_slowly(lock_core& lock, const kind& kind, const wait_limit& limit,
                                                       const void* object) noexcept {
  control& me = control::caller();
  me.give_way_if_asked();
  return lock_and_tell(
      lock, me, object, kind.why, limit, [&] { return try_lock(lock, kind, me.token()); },
      [&] { return lock_slow(lock, kind, limit, object); });
}

[[gnu::noinline]] bool lock_protocol::lock_shared_told(lock_core& lock, const wait_limit& limit,
                                                       const void* object) noexcept {
  control& me = control::caller();
  me.give_way_if_asked();
  return lock_and_tell(
      lock, me, object, reason::rw_mutex_lock_shared, limit, [&] { return try_lock_shared(lock); },
      [&] { return lock_shared_slow(lock, limit, object); });
}

[[gnu::noinline]] void lock_protocol::tell_taken(lock_core& lock, const kind& kind, const void* object) noexcept {
  control& me = control::caller();
  const lock_watcher* const watch = watcher_of(lock, object);
  set_owner(lock, me.token());
  if (watch != nullptr) watch->locked(me, {object, kind.why});
}

[[gnu::noinline]] void lock_protocol::tell_taken_shared(lock_core& lock, const void* object) noexcept {
  control& me = control::caller();
  if (const lock_watcher* const watch = watcher_of(lock, object))
    watch->locked(me, {object, reason::rw_mutex_lock_shared});
}

}  // namespace turnkey
