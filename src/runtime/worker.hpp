// A worker: an OS thread that runs goroutines, and its queue of those that are ready.
//
// Goroutines switch to each other directly. Whoever leaves the CPU notes in `handover_` what is to become of it - it can
// be parked, queued again or buried only once nobody runs on its stack - and whoever comes next, on the same worker,
// does that first (arrive). When nothing is ready the worker's own stack comes next: it searches, naps, or sleeps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "platform/cpu.hpp"
#include "platform/switch.hpp"
#include "platform/vain_tries.hpp"
#include "runtime/goroutine.hpp"
#include "runtime/goroutine_list.hpp"
#include "runtime/goroutine_pool.hpp"
#include "runtime/queue_ownership.hpp"
#include "runtime/run_queue.hpp"

namespace turnkey::runtime {

class alignas(128) worker {
 public:
  // The worker whose thread calls; null on other threads. Never inlined: see control::current.
  static worker* current() noexcept;
  static void set_current(worker* w) noexcept;

  // `slots`: for what overflows its ring; see global_queue.
  worker(std::uint32_t index, goroutine** slots) noexcept : index_(index), overflow_(slots) {}
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // The body of its thread. Returns when the worker has been surplus for a while.
  void run() noexcept;

  // Makes g ready, to run next on this worker. Called on this worker's thread.
  void ready(goroutine* g) noexcept;
  // The same, behind all that are ready.
  void ready_last(goroutine* g) noexcept;

  // Called on a goroutine's stack: leaves the CPU until the wait ends.
  void park(parking::waiter& w) noexcept;
  // Leaves the CPU to all that are ready; false: to nobody. `to_common_queue`: this worker is one too many.
  bool yield() noexcept;
  void yield_to_common_queue() noexcept;
  // Leaves it to those in the common queue as well, and to every worker's once they get there.
  void yield_to_everybody() noexcept;

  // The goroutine is about to block the thread, or has come back; see scheduler::enter_blocking.
  bool is_blocked() const noexcept { return is_blocked_.load(std::memory_order_relaxed); }

  // For the monitor. Ends the time slice of the goroutine that runs here, at its next lock.
  void ask_to_give_way() noexcept;
  // Has this worker look at the common queue at its next switch, and queue up behind its own what it takes. Returns the tick.
  std::uint32_t hasten_housekeeping() noexcept;

  // The steady clock as it was at the last look at it: at most 64 goroutines or 10 ms ago.
  [[nodiscard]] std::int64_t clock() const noexcept { return clock_.load(std::memory_order_relaxed); }
  [[nodiscard]] goroutine* running() const noexcept { return running_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int32_t thread() const noexcept { return thread_; }
  [[nodiscard]] goroutine_pool::cache& pool() noexcept { return pool_; }
  [[nodiscard]] bool has_queued() const noexcept {
    return next_.load(std::memory_order_relaxed) != nullptr || ring_.size() != 0 || overflow_.size() != 0;
  }

 private:
  friend class scheduler;
  friend class monitor;
  friend class launcher;
  friend class goroutine;
  static constexpr std::int64_t time_slice = 10'000'000;  // a pair that wakes each other gives way after so long
  static constexpr std::uint32_t housekeeping = 64;       // goroutines between two looks at timers and the common queue

  enum class fate : std::uint8_t { none, park, unlatch, requeue, requeue_common, bury, requeue_last };

  static void goroutine_main(void* first);
  bool leave(fate what, parking::waiter* w) noexcept;
  void leave_to(goroutine* next, fate what) noexcept;
  void set_clock(std::int64_t now) noexcept { clock_.store(now, std::memory_order_relaxed); }
  void set_token_place(std::atomic<std::uint32_t>* place) noexcept;
  void note_cpu() noexcept { cpu_.store(platform::current_cpu(), std::memory_order_relaxed); }
  goroutine* finish(goroutine& ended) noexcept;
  void switch_from(void** saved, goroutine* next, bool ends) noexcept;
  goroutine* leave_under_tsan(goroutine* next) noexcept;
  void begin(goroutine& g) noexcept;
  void arrive() noexcept;
  void settle() noexcept;
  void run_until_idle(goroutine* first) noexcept;
  void start_running(goroutine* g) noexcept;
  goroutine* pick() noexcept;
  goroutine* pick_quickly() noexcept;
  goroutine* take_own() noexcept;
  goroutine* take_next() noexcept;
  void await_burst() noexcept;
  void prefetch() const noexcept;
  goroutine* take_ring() noexcept;
  goroutine* take_overflow() noexcept;
  void ready_instead(goroutine* g) noexcept;
  goroutine* take_common() noexcept;
  goroutine* queue_common() noexcept;
  goroutine* search() noexcept;
  template <class F>
  bool any_other(F f) const noexcept;
  goroutine* take_from_blocked() noexcept;
  goroutine* watch_for_surplus() noexcept;
  std::int64_t first_nap(std::int64_t now) noexcept;
  [[nodiscard]] bool shares_cpu() const noexcept;
  goroutine* steal_next(goroutine* g) noexcept;
  goroutine* steal_from(worker& victim) noexcept;
  goroutine* rest() noexcept;
  bool sleep_until_woken() noexcept;
  void give_up_queue() noexcept;

  const std::uint32_t index_;
  std::int32_t thread_ = 0;
  std::atomic<goroutine*> running_{nullptr};         // read by the monitor
  platform::exception_state* exceptions_ = nullptr;  // this thread's
  void* native_ = nullptr;                           // this thread's own stack, while a goroutine runs
  platform::sanitizer_stack native_view_;

  goroutine* left_ = nullptr;  // who has just left the CPU, and what is to become of it
  parking::waiter* left_waiter_ = nullptr;
  std::atomic<std::uint64_t>* left_word_ = nullptr;
  std::uint64_t left_after_ = 0;
  fate handover_ = fate::none;

  goroutine* fresh_ = nullptr;  // picked, and to be given its stack; see leave_under_tsan
  bool is_ending_ = false;
  std::uint32_t crowded_looks_ = 0;  // of the lookout, one after the other
  std::int64_t left_rest_at_ = 0;    // when it last ceased to be the lookout
  platform::vain_tries vain_waits_;  // for a burst
  bool is_next_in_a_row_ = false;    // the last one was taken from next_, not from the queue
  std::int64_t slice_start_ = 0;     // when one was last taken from the queue
  std::uint64_t id_ = 0;             // the next goroutine ids, taken from the common counter in blocks
  std::uint64_t id_end_ = 0;
  goroutine_pool::cache pool_;

  // Read by others.
  alignas(64) std::atomic<goroutine*> next_{nullptr};  // the one made ready last runs next
  queue_ownership ownership_;                          // of next_ and ring_
  std::atomic<std::uint32_t> tick_{0};                 // counts what it runs
  std::atomic<std::int64_t> clock_{0};                 // set by the monitor, too
  std::atomic<bool> is_blocked_{false};
  std::atomic<bool> is_hastened_{false};  // see hasten_housekeeping
  std::atomic<bool> has_thread_{false};
  std::atomic<std::uint64_t> started_{0};
  std::atomic<std::uint64_t> ended_{0};
  alignas(64) std::atomic<std::uint32_t> wake_{0};     // futex: 1: look for work
  worker* next_idle_ = nullptr;                        // under the scheduler's idle lock
  std::atomic<std::uint32_t>* token_place_ = nullptr;  // the same: its thread's current_token, while it has one
  bool is_idle_ = false;
  // The lookout's notes on this worker.
  std::uint32_t seen_tick_ = 0;
  goroutine* seen_next_ = nullptr;
  bool seen_surplus_ = false;
  // The monitor's.
  std::uint32_t monitored_tick_ = 0;
  std::uint32_t asked_tick_ = 0;
  bool is_stuck_ = false;
  std::atomic<int> cpu_{-1};  // where it was when it last looked beyond its own queue

  run_queue ring_;
  global_queue overflow_;
};

// Here, so that a switch has them in line.

// Fetches into the cache what the switches to come will touch: the record of one further on, and the stack of the next
// one, whose record has been fetched before. With a thousand goroutines neither is there any more.
inline void worker::prefetch() const noexcept {
  const goroutine* const later = ring_.peek(2);
  if (later == nullptr) return;
  goroutine_pool::prefetch(*later);
  const goroutine* const soon = ring_.peek(1);
  if (soon == nullptr) return;
  const char* const top = static_cast<const char*>(soon->saved_);
  for (std::size_t line = 0; line < 4; ++line) __builtin_prefetch(top + line * 64);
}

inline goroutine* worker::take_ring() noexcept {
  if (goroutine* const g = ring_.pop(ownership_)) {
    prefetch();
    return g;
  }
  return overflow_.size() == 0 ? nullptr : take_overflow();
}

inline goroutine* worker::take_next() noexcept {
  goroutine* g = next_.load(std::memory_order_relaxed);
  while (g != nullptr && !ownership_.change<goroutine*>(next_, g, nullptr)) {
  }
  return g;
}

inline goroutine* worker::take_own() noexcept {
  if (next_.load(std::memory_order_relaxed) != nullptr) {
    // It shares the time slice of the one that made it ready, so that a pair that hand each other the turn cannot keep
    // the queue waiting for ever.
    is_next_in_a_row_ = true;
    if (clock() - slice_start_ <= time_slice) [[likely]] {
      if (goroutine* const g = take_next()) return g;
    }
  }
  if (is_next_in_a_row_) {
    is_next_in_a_row_ = false;
    slice_start_ = clock();
  }
  if (goroutine* const g = take_ring()) return g;
  return take_next();
}

}  // namespace turnkey::runtime
