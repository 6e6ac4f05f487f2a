#include "parking/hooks.hpp"

#include "parking/tracing.hpp"
#include "platform/rseq.hpp"

// In a static library an object file that nobody refers to is left out, with the hooks it would set. This reference makes
// diagnostics, and with it the runtime, part of every program that can wait. It is the one place where linking goes the
// other way than including.
extern "C" const bool turnkey_diagnostics_are_linked;

namespace turnkey::parking {

constinit std::atomic<void (*)() noexcept> on_long_wait{nullptr};
constinit std::atomic<bool (*)() noexcept> on_all_asleep{nullptr};
constinit std::atomic<void (*)(std::int64_t) noexcept> on_contention{nullptr};
constinit std::atomic<void (*)() noexcept> on_dump{nullptr};
constinit std::atomic<const lock_wait_observer*> lock_waits{nullptr};
constinit std::atomic<void (*)(const void*) noexcept> on_foreign_unlock{nullptr};
constinit std::atomic<const lock_watcher*> the_lock_watcher{nullptr};
constinit std::atomic<bool> are_locks_watched{false};
constinit std::atomic<const tracer*> the_tracer{nullptr};
[[gnu::tls_model("initial-exec")]] thread_local constinit bool is_timer_firing = false;

// An unlock that is a restartable sequence at once passes the watcher by, and so does a lock by one that has a token.
void watch_locks(const lock_watcher& watcher) noexcept {
  platform::forgo_rseq();
  are_locks_watched.store(true, std::memory_order_relaxed);
  if (current_control != nullptr) current_control->lose_quick_token();
  set_current_token(0);
  the_lock_watcher.store(&watcher, std::memory_order_release);
}

[[gnu::used]] const bool* const diagnostics = &turnkey_diagnostics_are_linked;

}  // namespace turnkey::parking
