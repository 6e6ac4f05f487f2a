// The park/signal protocol; its states and invariants are in waiter.hpp.
#include "parking/waiter.hpp"

#include "parking/stop_watch.hpp"

namespace turnkey::parking {

bool waiter::wait(const wait_limit& limit) noexcept {
  stop_watch* const watch = limit.watch();
  is_limited_ = !limit.is_unlimited();
  if (watch != nullptr && !stop_watch_access::enter(*watch, *this)) {
    // The stop was requested before: it alarms nobody, so this wait must not start. A signal may have come all the same.
    return load_state() == state::signalled;
  }
  // order: acquire -- pairs with signal(): what the signaller did before is seen.
  if (state_.load(std::memory_order_acquire) == state::running) {
    // order: release -- pairs with control::waiting(): a report sees the fields above.
    control_->waiting_.store(this, std::memory_order_release);
    control_->suspend(*this, limit.deadline());
    control_->waiting_.store(nullptr, std::memory_order_release);
  }
  if (watch != nullptr) stop_watch_access::leave(*watch);
  if (load_state() == state::signalled) return true;
  // Alarmed. The next wait on this waiter, if the caller needs one, starts anew.
  state ended = state::alarmed;
  return !state_.compare_exchange_strong(ended, state::running, std::memory_order_acq_rel, std::memory_order_acquire) &&
         ended == state::signalled;
}

bool waiter::commit_park() noexcept {
  state expected = state::running;
  // order: release -- pairs with the acquires in signal() and alarm(): whoever resumes the control sees its saved stack.
  return state_.compare_exchange_strong(expected, state::parked, std::memory_order_release, std::memory_order_acquire);
}

void waiter::signal_anyhow() noexcept {
  parking::control* const control = control_;
  if (const tracer* const tracing = trace()) [[unlikely]]
    tracing->wakes(*control);
  // order: acq_rel -- release pairs with wait(): what the signaller did is seen by the one it lets go; acquire pairs with
  // commit_park(). Nothing of *this may be touched after this line (invariant S).
  if (state_.exchange(state::signalled, std::memory_order_acq_rel) == state::parked) control->resume();
}

void waiter::alarm() noexcept {
  parking::control* const control = control_;
  state seen = state_.load(std::memory_order_relaxed);
  while (seen == state::running || seen == state::parked) {
    // order: acquire -- pairs with commit_park().
    if (state_.compare_exchange_weak(seen, state::alarmed, std::memory_order_acquire, std::memory_order_relaxed)) {
      // It is still there, invariant A.
      if (const tracer* const tracing = trace()) [[unlikely]]
        tracing->wakes(*control);
      if (seen == state::parked) control->resume();
      return;
    }
  }
}

}  // namespace turnkey::parking
