// The monitor; see monitor.hpp.
#include "runtime/monitor.hpp"

#include <array>
#include <atomic>

#include "parking/hooks.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "platform/thread.hpp"
#include "platform/thread_state.hpp"
#include "runtime/quit_signal.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey::runtime {

namespace {

constexpr std::int64_t period = 10'000'000;
constexpr std::int64_t idle_period = 250'000'000;  // while somebody else's thread may still end the waiting

constinit platform::raw_lock start_lock;
constinit std::atomic<bool> is_started{false};
constinit std::atomic<std::int32_t> monitor_thread{0};
constinit std::atomic<std::uint32_t> is_asleep{0};  // futex: 1 while it waits to be woken
constinit std::atomic<std::uint32_t> attention{0};  // futex: 1: somebody wants something

void sleep_until(std::int64_t when) noexcept {
  while (attention.load(std::memory_order_relaxed) == 0 && platform::futex_wait(attention, 0, when)) {
  }
}

}  // namespace

void monitor::wake() noexcept {
  if (!is_started.load(std::memory_order_acquire)) {
    start_lock.lock();
    if (!is_started.load(std::memory_order_relaxed)) {
      // Without it the program runs, if it must; only nobody will tell what is wrong with it.
      is_started.store(platform::start_thread("turnkey-monitor", false, run, nullptr), std::memory_order_release);
    }
    start_lock.unlock();
  }
  note_activity();
}

void monitor::note_activity() noexcept {
  // order: seq_cst -- pairs with run(), which sets it and then reads the scheduler's status, raised before this.
  if (is_asleep.load(std::memory_order_seq_cst) != 0 && is_asleep.exchange(0, std::memory_order_seq_cst) != 0) {
    platform::futex_wake_one(is_asleep);
  }
}

bool monitor::is_monitor_thread(std::int32_t thread) noexcept {
  return monitor_thread.load(std::memory_order_acquire) == thread;
}

bool monitor::call_for_attention() noexcept {
  if (!is_started.load(std::memory_order_acquire)) return false;
  // order: seq_cst -- pairs with run(), which sets is_asleep and then reads this.
  attention.store(1, std::memory_order_seq_cst);
  platform::futex_wake_one(attention);
  note_activity();
  return true;
}

// A worker that has run the same goroutine since the last look, 10 ms ago, while others queue: it may be blocked in code
// that is not ours. Then one more worker may be active, until it moves again. If it only computes, it is asked to give way at
// its next lock. Where it comes to none until the look after, a worker more than CPUs makes the operating system share them
// out, which is what a cooperative scheduler cannot do; but that many do.
// Where switches are that rare, a worker would come to the common queue once in a second; so it is told that somebody waits there.
void monitor::look_at_workers() noexcept {
  const std::uint64_t status = scheduler::status_.load(std::memory_order_seq_cst);
  const std::uint32_t count = scheduler::worker_count_.load(std::memory_order_acquire);
  const std::int64_t now = platform::now();
  const bool has_common = scheduler::common_.size() != 0;
  bool has_work = has_common || timer_queue::earliest() <= now;
  std::uint32_t blocked = 0;
  std::uint32_t computing = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    worker& w = *scheduler::workers_[i].load(std::memory_order_acquire);
    w.set_clock(now);
    const std::uint32_t tick = w.tick_.load(std::memory_order_relaxed);
    const bool is_stuck = tick == w.monitored_tick_ && w.running() != nullptr && !w.is_blocked();
    w.monitored_tick_ = tick;
    if (has_common && w.running() != nullptr) w.monitored_tick_ = w.hasten_housekeeping();
    const bool is_wanted = w.has_queued() || has_common;
    if (is_wanted) has_work = true;
    if (!is_stuck) continue;
    if (!platform::is_thread_runnable(w.thread())) {
      ++blocked;
    } else if (is_wanted && w.asked_tick_ != w.monitored_tick_) {
      w.asked_tick_ = w.monitored_tick_;
      w.ask_to_give_way();
    } else {
      ++computing;
    }
  }
  const auto procs = static_cast<std::uint32_t>(scheduler::max_procs());
  const std::uint32_t wanted = blocked + (computing < procs ? computing : procs);
  std::uint32_t spares = scheduler::spares_.load(std::memory_order_relaxed);
  const bool is_short = has_work && scheduler::active_of(status) >= scheduler::limit();
  if (wanted < spares || is_short) spares = wanted;
  scheduler::spares_.store(spares, std::memory_order_relaxed);
  scheduler::update_limit();
  if (has_work) {
    timer_queue::fire(platform::now());
    scheduler::notify_from_outside();
  }
}

void monitor::run(void*) noexcept {
  monitor_thread.store(platform::thread_id(), std::memory_order_release);
  for (;;) {
    // order: acquire -- pairs with call_for_attention().
    if (attention.exchange(0, std::memory_order_acquire) != 0) quit_signal::serve();
    const std::uint64_t status = scheduler::status_.load(std::memory_order_seq_cst);
    if (scheduler::active_of(status) != 0 || scheduler::blocked_of(status) != 0 || !scheduler::is_all_asleep()) {
      if (scheduler::is_started()) look_at_workers();
      // Only timers: nothing to see before the next is due.
      const bool is_quiet = scheduler::active_of(status) == 0 && scheduler::common_.size() == 0;
      sleep_until(platform::now() + (is_quiet ? idle_period : period));
      continue;
    }
    // Everybody of ours is asleep. Is it for ever?
    auto* const look = parking::on_all_asleep.load(std::memory_order_acquire);
    const bool look_again = look != nullptr && look();
    if (look_again) {
      sleep_until(platform::now() + idle_period);
      continue;
    }
    // order: seq_cst -- pairs with note_activity and call_for_attention.
    is_asleep.store(1, std::memory_order_seq_cst);
    if (attention.load(std::memory_order_seq_cst) == 0 && scheduler::is_all_asleep())
      platform::futex_wait(is_asleep, 1);
    is_asleep.store(0, std::memory_order_relaxed);
    sleep_until(platform::now() + period);
  }
}

namespace {

void on_long_wait() noexcept {
  scheduler::note_long_wait();
  monitor::wake();
}

[[maybe_unused]] const bool is_hooked = (parking::on_long_wait.store(on_long_wait, std::memory_order_release), true);

}  // namespace

}  // namespace turnkey::runtime
