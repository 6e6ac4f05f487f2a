// What a trace wants to know: who runs, waits, and wakes whom. Null unless somebody records; else one load and one branch at
// each place. (Locks and unlocks it is told by the lock_watcher.)
#pragma once

#include <atomic>

namespace turnkey::parking {

class control;
class waiter;

// None of them may wait, allocate, or use a primitive: they are called within those, in places under a latch.
struct tracer {
  void (*created)(const control& goroutine) noexcept;  // by the caller; about to be made ready
  void (*runs)(const control* goroutine) noexcept;     // on the calling worker, from now on; null: none
  void (*ended)(const control& goroutine) noexcept;    // the running one
  void (*waits)(const waiter& w) noexcept;             // its control, which calls, is about to block
  void (*goes_on)(const control& thread) noexcept;     // an OS thread, which calls, has blocked
  void (*wakes)(const control& whom) noexcept;  // signalled or alarmed, before it can know; it may not have blocked yet
};

// For good, once it is set.
extern std::atomic<const tracer*> the_tracer;
inline const tracer* trace() noexcept {
  // order: relaxed -- what it points to is constant, and what that needs is made by the one who calls.
  return the_tracer.load(std::memory_order_relaxed);
}

// What this OS thread does now, it does because a timer is due, and not for the goroutine that happens to be on it. Read
// only before anything can park.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit bool is_timer_firing;

class timer_scope {
 public:
  timer_scope() noexcept { is_timer_firing = true; }
  ~timer_scope() { is_timer_firing = false; }
  timer_scope(const timer_scope&) = delete;
  timer_scope& operator=(const timer_scope&) = delete;
};

}  // namespace turnkey::parking
