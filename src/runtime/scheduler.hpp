// The scheduler: who is awake, who wakes whom.
//
// Waking a sleeping thread costs the waker 15 us and takes 46 until it runs: longer than a burst of a thousand goroutines
// needs. So nobody is woken for a burst. Instead one idle worker, the lookout, does not sleep while others run: it naps
// for 50 to 500 us at a time - a timer wakes it, nobody pays - and helps a worker that had work left over at two looks. Unless
// the kernel has woken it on that one's CPU, though another is idle: two that share a CPU are slower than one, because whoever
// loses it has a lock perhaps, for which all others then queue up. So it naps on, to be woken elsewhere.
//
// The status word
//   active      workers that run goroutines or look for them
//   searching   those of them that look
//   blocked     workers whose goroutine is in blocking(): not active, but alive
//   watching    the lookout naps
//   waking      somebody has been woken and is on its way
//
// Invariant Q (no work is forgotten): when work is queued, one of these holds: the worker that has it is active and
//   will come to it; somebody is searching, waking or watching; or `active` has reached its limit. The queuer reads the
//   status after it has queued; a worker lowers `active` and then looks at the queues once more. Both are seq_cst, so
//   at least one of them sees the other. What this leaves out - all workers stuck - the monitor sees within 10 ms.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "runtime/goroutine_list.hpp"
#include "runtime/worker.hpp"

namespace turnkey::runtime {

class scheduler {
 public:
  static constexpr std::uint32_t max_workers = 4096 + 4096;  // max_procs() and those that are blocked
  static constexpr int max_procs_limit = 4096;

  // Starts the first worker and the monitor, once; for who has found that they are not. False if there is no thread to be had.
  static bool start() noexcept;
  static bool is_started() noexcept { return is_started_.load(std::memory_order_acquire); }

  // Makes g ready, from a thread that is no worker, or whose worker is in blocking(). See goroutine::resume.
  static void ready_from_outside(goroutine* g) noexcept;
  // Work was queued, by a worker for itself or (`from_outside`) in the common queue: sees to it that it is found.
  static void notify() noexcept {
    const std::uint64_t s = status_.load(std::memory_order_seq_cst);
    if ((s & (watching | waking)) == 0 && searching_of(s) == 0 && active_of(s) < limit()) [[unlikely]]
      wake_one();
  }
  static void notify_from_outside() noexcept;

  // The shard for a timer that the caller starts; `address`: the timer's. A worker looks at its own most often.
  static std::uint32_t timer_shard(const void* address) noexcept;
  // A timer was started for `deadline`: sees to it that somebody is up then.
  static void note_timer(std::int64_t deadline) noexcept;

  static int max_procs() noexcept;
  static int set_max_procs(int n) noexcept;
  static std::uint64_t num_goroutines() noexcept;
  static std::uint64_t new_id(worker* w) noexcept;
  static void count_start(worker* w) noexcept;

  // True if the worker found itself to be one; it must then call leave_blocking.
  static bool enter_blocking(worker& w) noexcept;
  static void leave_blocking(worker& w) noexcept;
  // If more workers are active than may be, this one's goroutine goes on elsewhere; if the process exits, nowhere.
  static void yield_if_surplus(worker& w) noexcept;

  // The calling thread has waited long. If it is the one that exits the process, whom it waits for will not run again.
  static void note_long_wait() noexcept;

  // Nothing runs and nothing is about to: every goroutine waits, none with a time limit. Monitor only.
  static bool is_all_asleep() noexcept;
  // The OS threads that are workers.
  static bool is_worker_thread(std::int32_t thread) noexcept;
  // From now on no switch takes the shortest way, which tells no tracer.
  static void switch_slowly() noexcept { has_slow_switches_.store(true, std::memory_order_relaxed); }
  // The OS thread that runs g; 0: none does. For reports: may be out of date at once.
  static std::int32_t thread_of(const goroutine& g) noexcept;

  // Looks of a lookout on the CPU of a busy worker, before it helps all the same: some 3 ms. Tests lower it, to have more
  // workers at once than CPUs.
  static std::atomic<std::uint32_t> crowd_patience;

 private:
  friend class worker;
  friend class monitor;

  static constexpr std::uint64_t active_one = 1;
  static constexpr std::uint64_t searching_one = std::uint64_t{1} << 16;
  static constexpr std::uint64_t blocked_one = std::uint64_t{1} << 32;
  static constexpr std::uint64_t watching = std::uint64_t{1} << 48;
  static constexpr std::uint64_t waking = std::uint64_t{1} << 49;
  static std::uint32_t active_of(std::uint64_t s) noexcept { return s & 0xffff; }
  static std::uint32_t searching_of(std::uint64_t s) noexcept { return (s >> 16) & 0xffff; }
  static std::uint32_t blocked_of(std::uint64_t s) noexcept { return (s >> 32) & 0xffff; }

  // How many workers may be active: max_procs and the spares for stuck ones.
  static std::uint32_t limit() noexcept { return limit_.load(std::memory_order_relaxed); }
  static void update_limit() noexcept;

  static bool is_somebody_up_for_timers() noexcept;
  static bool wake_one() noexcept;
  static bool start_worker() noexcept;
  static void become_active() noexcept;
  static void push_idle(worker& w) noexcept;
  static bool remove_idle(worker& w) noexcept;
  static worker* pop_idle() noexcept;
  static void wake(worker& w) noexcept;
  static void stop(int status) noexcept;

  // On cache lines of its own: who writes it does not slow down who reads or writes its neighbours.
  template <class T>
  struct alignas(64) alone : T {
    using T::T;
  };
  static alone<std::atomic<std::uint64_t>> status_;
  static std::atomic<std::uint32_t> limit_;
  static std::atomic<int> max_procs_;
  static std::atomic<std::uint32_t> spares_;
  static std::atomic<bool> is_started_;
  static std::atomic<bool> is_stopping_;
  static std::atomic<bool> has_slow_switches_;  // is_stopping_, or switch_slowly() was called
  static alone<std::atomic<worker*>> lookout_;
  static std::atomic<std::int64_t>
      lookout_deadline_;  // until when the lookout sleeps; least: there is none, or it is awake
  static std::atomic<std::uint32_t> worker_count_;  // of workers_ that are filled
  static std::array<std::atomic<worker*>, max_workers> workers_;
  static alone<std::atomic<std::uint64_t>> started_outside_;
  static alone<std::atomic<std::uint64_t>> last_id_;
  static alone<global_queue> common_;
  static platform::raw_lock idle_lock_;  // guards idle_, the slots of workers_, and starting threads
  static worker* idle_;
};

}  // namespace turnkey::runtime
