// What higher layers want to know of waits. Null by default; parking and runtime call them and know nothing of who answers.
#pragma once

#include <atomic>
#include <cstdint>

#include "parking/taking.hpp"
#include "parking/waiter.hpp"

namespace turnkey::parking {

// Called by an OS thread that has been parked for 100 ms, once for that wait. The runtime uses it to start its monitor
// in a program that has no goroutines.
extern std::atomic<void (*)() noexcept> on_long_wait;

// A control that is queued for a lock without a limit, and has said so (control::want), is about to park; and has gone on.
// The first may report a deadlock. `w` is its waiter, for its stack.
struct lock_wait_observer {
  void (*begin)(control& who, const waiter& w) noexcept;
  void (*end)(control& who) noexcept;
};
extern std::atomic<const lock_wait_observer*> lock_waits;
// A control unlocks for reading what it has not locked itself.
extern std::atomic<void (*)(const void* lock) noexcept> on_foreign_unlock;

// A wait for `lock`, a lock_core, from when its waiter is queued to the end of the scope. Without a limit, that is.
class lock_wait_scope {
 public:
  lock_wait_scope(control& who, const waiter& w, const void* lock, bool is_unlimited) noexcept
      : who_(is_unlimited ? &who : nullptr) {
    if (!is_unlimited) return;
    // order: acquire -- pairs with the release of who set it.
    const lock_wait_observer* const observer = lock_waits.load(std::memory_order_acquire);
    if (observer == nullptr) {
      who_ = nullptr;
      return;
    }
    who.want(lock, w.why());
    if (w.is_let_in()) {
      who.want_nothing();
    } else {
      observer->begin(who, w);
    }
  }
  ~lock_wait_scope() {
    if (who_ == nullptr) return;
    who_->want_nothing();
    lock_waits.load(std::memory_order_acquire)->end(*who_);
  }
  lock_wait_scope(const lock_wait_scope&) = delete;
  lock_wait_scope& operator=(const lock_wait_scope&) = delete;

 private:
  control* who_;
};

// Is told of every lock and unlock of a mutex or an rw_mutex, if there is one.
struct lock_watcher {
  // Somebody is about to lock, or has just locked, what nobody has locked before.
  void (*is_new)(const void* lock) noexcept;
  // Is about to lock, and must wait for it.
  void (*wants)(control& who, taking what) noexcept;
  // Has locked without a wait what it would have waited for: wants and locked in one.
  void (*locked_at_once)(control& who, taking what) noexcept;
  // Has locked, after a wait or because it was free.
  void (*locked)(control& who, taking what) noexcept;
  void (*unlocks)(control& who, taking what) noexcept;
};
// From now on, for good. Before main: locks must not be in use.
void watch_locks(const lock_watcher& watcher) noexcept;
[[gnu::visibility("hidden")]] extern std::atomic<const lock_watcher*> the_lock_watcher;
inline const lock_watcher* lock_watch() noexcept {
  // order: acquire -- pairs with watch_locks(): what the watcher has made ready.
  return the_lock_watcher.load(std::memory_order_acquire);
}

// Called by the monitor when no goroutine runs or can be woken by a timer. If the rest of the process is asleep as well,
// that ends the program. True: it might be later; ask again.
extern std::atomic<bool (*)() noexcept> on_all_asleep;

// Called by the monitor when a SIGQUIT asks for it: writes the state of all threads of control to stderr. Must not allocate.
extern std::atomic<void (*)() noexcept> on_dump;
// Called by whoever has let waiters of a mutex or rw_mutex in, after its last access to that: for how many nanoseconds
// they and those behind them have waited. See parking/contention.hpp.
extern std::atomic<void (*)(std::int64_t delay) noexcept> on_contention;

}  // namespace turnkey::parking
