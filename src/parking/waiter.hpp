// One wait of one thread of control: the node in a primitive's queue, and the park/signal protocol under all of them.
//
// A waiter lives in the waiting call's frame. The primitive links it into its queue, under its latch, and then calls
// wait(). Whoever takes it out of the queue, under the same latch, calls signal(), after it has let go of the latch.
//
//   state      who sets it                            what it means
//   running    the constructor                        has not blocked (yet)
//   parked     its control, once it is off the CPU    blocked: whoever changes this state must resume() the control
//              or before, under the latch (below)
//   alarmed    alarm(): a timer or a stop request     the wait's limit has ended; wait() returns false
//   signalled  signal(), from any state               wait() returns true
//
// Invariant S: signal()'s exchange is its last access to the waiter, which may be gone right after. It then touches the
//   control only if the state was parked: nobody else can resume it then, so the control is still there.
// Invariant A: alarm() only leaves running and parked, and its callers (timer queue, stop_watch) are held off by a
//   handshake of their own before the waiter goes.
// Invariant L: a waiter that keeps its latch until it is off the CPU (wait_unlatching) is parked from the start, and only
//   signal() may end its wait: it has no limit. Whoever takes it out of the queue has got the latch from it, so it is off
//   the CPU by then, and nobody else changes its state: no read-modify-write is needed on either side.
// An alarm decides nothing: the waiter that finds itself alarmed takes the latch and looks whether it is still in the
// queue. If not, somebody has committed to signal it, and it waits for that (await_signal).
#pragma once

#include <atomic>
#include <cstdint>

#include <turnkey/wait_limit.hpp>

#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "parking/tracing.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey::parking {

class waiter {
 public:
  enum class state : std::uint32_t { running, parked, alarmed, signalled };

  // `object`: the primitive, for reports.
  waiter(reason why, const void* object) noexcept : control_(&control::current()), object_(object), why_(why) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  // Blocks until signalled (true) or until the limit ends (false).
  bool wait(const wait_limit& limit) noexcept;
  // Blocks until signalled, by a caller that holds the latch which guards the waiter's queue: `word = after` lets it go,
  // when the control is off the CPU. For the latch's other users that is as if it were held a little longer.
  void wait_unlatching(std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept {
    // order: release -- as in wait().
    control_->waiting_.store(this, std::memory_order_release);
    control_->suspend_unlatching(*this, word, after);
    control_->waiting_.store(nullptr, std::memory_order_release);
  }
  // Blocks until signalled. For a waiter that somebody has taken out of its queue.
  void await_signal() noexcept { wait(wait_limit()); }

  // Ends the wait with true. The caller has taken the waiter out of its queue.
  void signal() noexcept {
    if (!is_under_latch_ || trace() != nullptr) return signal_anyhow();
    parking::control* const control = control_;
    // order: relaxed -- for reports. What the signaller did is seen because resume() comes before what it lets go.
    state_.store(state::signalled, std::memory_order_relaxed);
    control->resume();
  }
  // Ends the wait with false, unless it was signalled.
  void alarm() noexcept;

  // Called by control::suspend() when the control is off the CPU: true if it is now parked, false if the wait has ended.
  bool commit_park() noexcept;
  // Called by control::suspend_unlatching() before it is: see invariant L.
  void park_under_latch() noexcept {
    is_under_latch_ = true;
    // order: relaxed -- published by the store that lets go of the latch.
    state_.store(state::parked, std::memory_order_relaxed);
  }
  [[nodiscard]] state load_state() const noexcept { return state_.load(std::memory_order_acquire); }

  [[nodiscard]] reason why() const noexcept { return why_; }
  [[nodiscard]] bool is_reader() const noexcept { return why_ == reason::rw_mutex_lock_shared; }
  [[nodiscard]] const void* object() const noexcept { return object_; }
  // When it parked, on the steady clock; for a goroutine up to 10 ms early. 0: it has not. Set by its control.
  [[nodiscard]] std::int64_t since() const noexcept { return since_.load(std::memory_order_relaxed); }
  void set_since(std::int64_t now) noexcept { since_.store(now, std::memory_order_relaxed); }
  [[nodiscard]] bool is_limited() const noexcept { return is_limited_; }
  [[nodiscard]] parking::control& control() const noexcept { return *control_; }

  // Whoever lets it into a lock, without its own doing, says so before that shows: it wants nothing any more.
  void let_in() noexcept {
    // order: seq_cst -- pairs with is_let_in(): either the waiter sees this, or we undo what it has said it wants.
    is_let_in_.store(true, std::memory_order_seq_cst);
    control_->want_nothing();
  }
  // After control::want().
  [[nodiscard]] bool is_let_in() const noexcept { return is_let_in_.load(std::memory_order_seq_cst); }

  // The primitive's own: what is asked for, what was granted; of a lock: see contention.hpp.
  std::uint64_t request = 0;

 private:
  void signal_anyhow() noexcept;

  friend class wait_queue;
  friend class lock_queue;
  friend class wake_list;
  waiter* next_ = nullptr;  // null: in no queue
  waiter* previous_ = nullptr;
  std::atomic<state> state_{state::running};
  std::uint32_t readers_ = 0;  // of the first in a lock_queue: how many of all that are in it wait to read
  parking::control* control_;
  const void* object_;
  std::atomic<std::int64_t> since_{0};
  reason why_;
  bool is_limited_ = false;
  bool is_under_latch_ = false;
  std::atomic<bool> is_let_in_{false};
  std::uint32_t behind_ = 0;  // of the first in a queue: how many are behind it
};

}  // namespace turnkey::parking
