// The scheduler's common state and its rules; see scheduler.hpp.
#include "runtime/scheduler.hpp"

#include <new>

#include "platform/clock.hpp"
#include "platform/cpu.hpp"
#include "platform/environment.hpp"
#include "platform/report.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"
#include "runtime/monitor.hpp"
#include "runtime/panic.hpp"
#include "runtime/quit_signal.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey::runtime {

namespace {

constinit std::array<goroutine*, global_queue::capacity> common_slots{};

}  // namespace

constinit scheduler::alone<std::atomic<std::uint64_t>> scheduler::status_{0};
constinit std::atomic<std::uint32_t> scheduler::limit_{0};
constinit std::atomic<int> scheduler::max_procs_{0};
constinit std::atomic<std::uint32_t> scheduler::spares_{0};
constinit std::atomic<bool> scheduler::is_started_{false};
constinit std::atomic<bool> scheduler::is_stopping_{false};
constinit std::atomic<bool> scheduler::has_slow_switches_{false};
constinit std::atomic<std::uint32_t> scheduler::crowd_patience{8};
constinit scheduler::alone<std::atomic<worker*>> scheduler::lookout_{nullptr};
constinit std::atomic<std::int64_t> scheduler::lookout_deadline_{INT64_MIN};
constinit std::atomic<std::uint32_t> scheduler::worker_count_{0};
constinit std::array<std::atomic<worker*>, scheduler::max_workers> scheduler::workers_{};
constinit scheduler::alone<std::atomic<std::uint64_t>> scheduler::started_outside_{0};
constinit scheduler::alone<std::atomic<std::uint64_t>> scheduler::last_id_{0};
constinit scheduler::alone<global_queue> scheduler::common_{common_slots.data()};
constinit platform::raw_lock scheduler::idle_lock_;
constinit worker* scheduler::idle_ = nullptr;

namespace {

constexpr std::uint64_t id_block = 64;
constexpr std::int64_t exit_patience = 50'000'000;

constinit platform::raw_lock start_lock;
constinit std::atomic<std::int32_t> exiting_thread{0};
constinit std::atomic<int> exit_status{0};

}  // namespace

bool scheduler::start() noexcept {
  start_lock.lock();
  bool started = is_started();
  if (!started) {
    static_cast<void>(max_procs());
    started = start_worker();
    if (started) {
      panic::install();
      platform::at_process_exit(stop);
      monitor::wake();
      quit_signal::install();
      is_started_.store(true, std::memory_order_release);
    }
  }
  start_lock.unlock();
  return started;
}

// ---- How many ---------------------------------------------------------------------------------------------------

int scheduler::max_procs() noexcept {
  int n = max_procs_.load(std::memory_order_relaxed);
  if (n != 0) [[likely]]
    return n;
  n = static_cast<int>(platform::environment_integer("TURNKEY_MAXPROCS", 1, max_procs_limit, 0));
  if (n == 0) n = platform::available_cpus();
  if (n > max_procs_limit) n = max_procs_limit;
  int unset = 0;
  if (max_procs_.compare_exchange_strong(unset, n, std::memory_order_relaxed)) update_limit();
  return max_procs_.load(std::memory_order_relaxed);
}

int scheduler::set_max_procs(int n) noexcept {
  static_cast<void>(max_procs());
  const int before = max_procs_.exchange(n, std::memory_order_relaxed);
  update_limit();
  if (is_started()) notify_from_outside();
  return before;
}

void scheduler::update_limit() noexcept {
  limit_.store(
      static_cast<std::uint32_t>(max_procs_.load(std::memory_order_relaxed)) + spares_.load(std::memory_order_relaxed),
      std::memory_order_relaxed);
}

std::uint64_t scheduler::num_goroutines() noexcept {
  std::uint64_t ended = 0;
  std::uint64_t started = 0;
  // The ended ones first: a goroutine that ends in between then counts as one too many, never as less than none.
  const std::uint32_t count = worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    ended += workers_[i].load(std::memory_order_acquire)->ended_.load(std::memory_order_acquire);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    started += workers_[i].load(std::memory_order_acquire)->started_.load(std::memory_order_acquire);
  }
  started += started_outside_.load(std::memory_order_acquire);
  return started - ended;
}

std::uint64_t scheduler::new_id(worker* w) noexcept {
  if (w == nullptr) return last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (w->id_ == w->id_end_) {
    w->id_ = last_id_.fetch_add(id_block, std::memory_order_relaxed);
    w->id_end_ = w->id_ + id_block;
  }
  return ++w->id_;
}

void scheduler::count_start(worker* w) noexcept {
  if (w == nullptr) {
    started_outside_.fetch_add(1, std::memory_order_relaxed);
  } else {
    w->started_.store(w->started_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
}

// ---- Waking -----------------------------------------------------------------------------------------------------

void scheduler::ready_from_outside(goroutine* g) noexcept {
  common_.push(g);
  notify_from_outside();
}

void scheduler::notify_from_outside() noexcept {
  const std::uint64_t s = status_.load(std::memory_order_seq_cst);
  if (active_of(s) == 0 ? (s & waking) == 0
                        : (s & (watching | waking)) == 0 && searching_of(s) == 0 && active_of(s) < limit()) {
    wake_one();
  }
}

std::uint32_t scheduler::timer_shard(const void* address) noexcept {
  const worker* const here = worker::current();
  const std::uintptr_t hint = here != nullptr ? here->index_ : reinterpret_cast<std::uintptr_t>(address) >> 6;
  return static_cast<std::uint32_t>(hint % timer_queue::shards);
}

void scheduler::note_timer(std::int64_t deadline) noexcept {
  const worker* const here = worker::current();
  if (here != nullptr && !here->is_blocked()) return;  // it is active, and looks at the timers before it rests
  // order: seq_cst -- pairs with worker::rest, which writes this and then reads the earliest deadline; see the timer
  // queue's note_earliest. Whoever is awake looks at the timers before it sleeps.
  if (lookout_deadline_.load(std::memory_order_seq_cst) <= deadline) return;
  if (worker* const lookout = lookout_.load(std::memory_order_seq_cst)) wake(*lookout);
}

// No worker is active: whether the lookout will be up when the next timer is due. A worker that started one while it was
// active has told nobody, and counts on coming to rest.
bool scheduler::is_somebody_up_for_timers() noexcept {
  const std::int64_t timer = timer_queue::earliest();
  if (timer == platform::no_deadline) return true;
  const std::int64_t covered = lookout_deadline_.load(std::memory_order_seq_cst);
  // The least: it is awake, and will look, or there is none.
  return covered == INT64_MIN ? lookout_.load(std::memory_order_seq_cst) != nullptr : covered <= timer;
}

// Gets one more worker going: the lookout, a sleeper, or a new thread. False if there is none.
bool scheduler::wake_one() noexcept {
  if ((status_.fetch_or(waking, std::memory_order_seq_cst) & waking) != 0) return true;
  if (worker* const lookout = lookout_.load(std::memory_order_seq_cst)) {
    wake(*lookout);
    return true;
  }
  if (worker* const sleeper = pop_idle()) {
    wake(*sleeper);
    return true;
  }
  if (start_worker()) return true;
  status_.fetch_and(~waking, std::memory_order_seq_cst);
  return false;
}

void scheduler::wake(worker& w) noexcept {
  // order: seq_cst -- pairs with the exchanges in worker::rest and sleep_until_woken.
  w.wake_.store(1, std::memory_order_seq_cst);
  platform::futex_wake_one(w.wake_);
}

// A worker becomes active, for whatever reason; who waited for somebody to be on its way need not any more.
void scheduler::become_active() noexcept {
  status_.fetch_add(active_one, std::memory_order_seq_cst);
  status_.fetch_and(~waking, std::memory_order_seq_cst);
  monitor::note_activity();
}

bool scheduler::start_worker() noexcept {
  idle_lock_.lock();
  worker* chosen = nullptr;
  const std::uint32_t count = worker_count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count && chosen == nullptr; ++i) {
    worker* const w = workers_[i].load(std::memory_order_relaxed);
    // order: acquire -- pairs with the end of worker::run: its last thread is through with it.
    if (!w->has_thread_.load(std::memory_order_acquire)) chosen = w;
  }
  if (chosen == nullptr && count < max_workers) {
    constexpr std::size_t slots = (sizeof(worker) + platform::page_size - 1) & ~(platform::page_size - 1);
    constexpr std::size_t bytes = slots + sizeof common_slots;
    if (void* const memory = platform::map_memory(bytes, platform::pages::small)) {
      platform::add_leak_root(memory, bytes);
      chosen = ::new (memory) worker(count, reinterpret_cast<goroutine**>(static_cast<std::byte*>(memory) + slots));
      workers_[count].store(chosen, std::memory_order_release);
      worker_count_.store(count + 1, std::memory_order_release);
    }
  }
  bool started = false;
  if (chosen != nullptr) {
    chosen->has_thread_.store(true, std::memory_order_relaxed);
    started = platform::start_thread(
        "turnkey-worker", true, [](void* w) { static_cast<worker*>(w)->run(); }, chosen);
    if (!started) chosen->has_thread_.store(false, std::memory_order_relaxed);
  }
  idle_lock_.unlock();
  return started;
}

void scheduler::push_idle(worker& w) noexcept {
  idle_lock_.lock();
  w.is_idle_ = true;
  w.next_idle_ = idle_;
  idle_ = &w;
  idle_lock_.unlock();
}

worker* scheduler::pop_idle() noexcept {
  idle_lock_.lock();
  worker* const w = idle_;
  if (w != nullptr) {
    idle_ = w->next_idle_;
    w->is_idle_ = false;
  }
  idle_lock_.unlock();
  return w;
}

// False: somebody has popped it.
bool scheduler::remove_idle(worker& w) noexcept {
  idle_lock_.lock();
  const bool was_idle = w.is_idle_;
  if (was_idle) {
    worker** link = &idle_;
    while (*link != &w) link = &(*link)->next_idle_;
    *link = w.next_idle_;
    w.is_idle_ = false;
  }
  idle_lock_.unlock();
  return was_idle;
}

// ---- Blocking ---------------------------------------------------------------------------------------------------

bool scheduler::enter_blocking(worker& w) noexcept {
  if (w.is_blocked()) return false;
  // order: seq_cst -- pairs with notify: see invariant Q.
  w.is_blocked_.store(true, std::memory_order_seq_cst);
  const std::uint64_t s =
      status_.fetch_add(blocked_one - active_one, std::memory_order_seq_cst) + blocked_one - active_one;
  if (w.has_queued() || common_.size() != 0) {
    notify_from_outside();
  } else if (active_of(s) == 0 && (s & waking) == 0 && !is_somebody_up_for_timers()) {
    wake_one();
  }
  return true;
}

void scheduler::leave_blocking(worker& w) noexcept {
  // order: seq_cst -- pairs with a thief's visit: see invariant T in queue_ownership.hpp.
  w.is_blocked_.store(false, std::memory_order_seq_cst);
  status_.fetch_add(active_one - blocked_one, std::memory_order_seq_cst);
  monitor::note_activity();
}

void scheduler::yield_if_surplus(worker& w) noexcept {
  if (is_stopping_.load(std::memory_order_relaxed) || active_of(status_.load(std::memory_order_relaxed)) > limit()) {
    w.yield_to_common_queue();
  }
}

// ---- The end ----------------------------------------------------------------------------------------------------

bool scheduler::is_all_asleep() noexcept {
  const std::uint64_t s = status_.load(std::memory_order_seq_cst);
  if (active_of(s) != 0 || blocked_of(s) != 0 || (s & waking) != 0 || common_.size() != 0) return false;
  const std::uint32_t count = worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (workers_[i].load(std::memory_order_acquire)->has_queued()) return false;
  }
  return timer_queue::earliest() == platform::no_deadline;
}

bool scheduler::is_worker_thread(std::int32_t thread) noexcept {
  const std::uint32_t count = worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const worker* const w = workers_[i].load(std::memory_order_acquire);
    if (w->has_thread_.load(std::memory_order_acquire) && w->thread_ == thread) return true;
  }
  return false;
}

std::int32_t scheduler::thread_of(const goroutine& g) noexcept {
  const std::uint32_t count = worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const worker* const w = workers_[i].load(std::memory_order_acquire);
    if (w->running() == &g) return w->thread();
  }
  return 0;
}

void scheduler::note_long_wait() noexcept {
  if (exiting_thread.load(std::memory_order_relaxed) == platform::thread_id()) {
    platform::end_process(exit_status.load(std::memory_order_relaxed));
  }
}

// The process exits: workers stop at their next scheduling point, before static objects are destroyed under them. One
// that does not come there in time is running user code that must not see that: then the process ends here and now, as a
// Go program does.
void scheduler::stop(int status) noexcept {
  exit_status.store(status, std::memory_order_relaxed);
  exiting_thread.store(platform::thread_id(), std::memory_order_relaxed);
  is_stopping_.store(true, std::memory_order_seq_cst);
  switch_slowly();
  const worker* const here = worker::current();
  const std::uint32_t remaining = here != nullptr && !here->is_blocked() ? 1 : 0;
  const std::int64_t until = platform::now() + exit_patience;
  while (active_of(status_.load(std::memory_order_seq_cst)) > remaining) {
    if (platform::now() > until) platform::end_process(status);
    platform::yield_thread();
  }
}

}  // namespace turnkey::runtime
