// A worker: an OS thread that runs goroutines, and its queue of those that are ready.
//
// Goroutines switch to each other directly. Whoever leaves the CPU notes in `handover_` what is to become of it - it can
// be parked, queued again or buried only once nobody runs on its stack - and whoever comes next, on the same worker,
// does that first (arrive). When nothing is ready the worker's own stack comes next: it searches, naps, or sleeps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "platform/switch.hpp"
#include "runtime/goroutine.hpp"
#include "runtime/goroutine_list.hpp"
#include "runtime/goroutine_pool.hpp"
#include "runtime/run_queue.hpp"

namespace turnkey::runtime {

class alignas(128) worker {
 public:
  // The worker whose thread calls; null on other threads. Never inlined: see control::current.
  static worker* current() noexcept;

  explicit worker(std::uint32_t index) noexcept : index_(index) {}
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
  // Leaves the CPU to all that are ready. `to_common_queue`: this worker is one too many.
  void yield() noexcept;
  void yield_to_common_queue() noexcept;

  // The goroutine is about to block the thread, or has come back; see scheduler::enter_blocking.
  bool is_blocked() const noexcept { return is_blocked_.load(std::memory_order_relaxed); }

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

  enum class fate : std::uint8_t { none, park, requeue, requeue_common, bury };

  static void goroutine_main(void* first);
  void leave(fate what, parking::waiter* w) noexcept;
  goroutine* finish(goroutine& ended) noexcept;
  void switch_from(void** saved, goroutine* next, bool ends) noexcept;
  goroutine* leave_under_tsan(goroutine* next) noexcept;
  void begin(goroutine& g) noexcept;
  void arrive() noexcept;
  void start_running(goroutine* g) noexcept;
  goroutine* pick() noexcept;
  void prefetch() const noexcept;
  goroutine* take_ring() noexcept;
  goroutine* take_common() noexcept;
  goroutine* search() noexcept;
  goroutine* take_from_blocked() noexcept;
  goroutine* watch_for_surplus() noexcept;
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
  fate handover_ = fate::none;

  goroutine* fresh_ = nullptr;  // picked, and to be given its stack; see leave_under_tsan
  bool is_ending_ = false;
  std::uint32_t next_in_a_row_ = 0;  // taken from next_ since one was taken from the queue
  std::int64_t slice_start_ = 0;     // when that was
  std::uint64_t id_ = 0;             // the next goroutine ids, taken from the common counter in blocks
  std::uint64_t id_end_ = 0;
  goroutine_pool::cache pool_;

  // Read by others.
  alignas(64) std::atomic<goroutine*> next_{nullptr};  // the one made ready last runs next
  std::atomic<std::uint32_t> tick_{0};                 // counts what it runs
  std::atomic<bool> is_blocked_{false};
  std::atomic<bool> has_thread_{false};
  std::atomic<std::uint64_t> started_{0};
  std::atomic<std::uint64_t> ended_{0};
  alignas(64) std::atomic<std::uint32_t> wake_{0};  // futex: 1: look for work
  worker* next_idle_ = nullptr;                     // under the scheduler's idle lock
  bool is_idle_ = false;
  // The lookout's notes on this worker.
  std::uint32_t seen_tick_ = 0;
  goroutine* seen_next_ = nullptr;
  bool seen_surplus_ = false;
  // The monitor's.
  std::uint32_t monitored_tick_ = 0;
  bool is_stuck_ = false;

  run_queue ring_;
  global_queue overflow_;
};

}  // namespace turnkey::runtime
