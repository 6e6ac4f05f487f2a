// Running goroutines, and finding the next; see worker.hpp and scheduler.hpp.
#include "runtime/worker.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "parking/stop_watch.hpp"
#include "platform/clock.hpp"
#include "platform/cpu.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"
#include "runtime/monitor.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey::runtime {

namespace {

[[gnu::tls_model("initial-exec")]] thread_local constinit worker* this_worker = nullptr;

constexpr std::uint32_t housekeeping = 64;       // goroutines between two looks at timers and the common queue
constexpr std::int64_t time_slice = 10'000'000;  // a pair that wakes each other gives way to the queue after so long
constexpr std::uint32_t slice_check = 4;         // of its turns between two looks at the clock
constexpr std::uint32_t common_batch = 64;       // taken from the common queue at once
constexpr std::int64_t search_time = 10'000;
constexpr std::int64_t shortest_nap = 50'000;
constexpr std::int64_t longest_nap = 500'000;
constexpr std::int64_t watch_longer =
    5'000'000;  // the lookout goes on napping for so long after the last one has gone idle
constexpr std::int64_t surplus_patience = 1'000'000'000;  // a thread that nobody needed for so long ends

}  // namespace

[[gnu::noinline]] worker* worker::current() noexcept {
  asm volatile("");
  return this_worker;
}

// ---- Switching --------------------------------------------------------------------------------------------------

void worker::start_running(goroutine* g) noexcept {
  running_.store(g, std::memory_order_relaxed);
  parking::current_control = g;
  parking::current_token = g->token();
}

// Switches from the running stack, whose pointer goes to *saved, to `next`, or to this worker's own stack if it is null.
void worker::switch_from(void** saved, goroutine* next, bool ends) noexcept {
  void* to = native_;
  const platform::sanitizer_stack* view = &native_view_;
  if (next != nullptr) {
    if (next->stack_ == nullptr && !goroutine_pool::attach_stack(*next, &pool_, goroutine_main)) {
      platform::fatal("out of memory: no stack for a goroutine");
    }
    start_running(next);
    if (!next->has_started_) begin(*next);
    to = next->saved_;
    view = &next->stack_->view;
  } else {
    running_.store(nullptr, std::memory_order_relaxed);
    parking::current_control = nullptr;
    parking::current_token = 0;
  }
  void* fake = nullptr;
  platform::before_switch(&fake, *view, ends);
  turnkey_switch(saved, to);
  platform::after_switch(fake);
}

// A goroutine that runs for the first time.
void worker::begin(goroutine& g) noexcept {
  g.has_started_ = true;
  g.status_.store(goroutine::status::running, std::memory_order_relaxed);
  if (platform::is_tsan) platform::name_stack(g.stack_->view, g.name().empty() ? "" : g.name().data());
}

// Does what is to be done for the one that has just left the CPU.
void worker::arrive() noexcept {
  goroutine* const left = left_;
  switch (handover_) {
    case fate::none: return;
    case fate::park:
      if (!left_waiter_->commit_park()) ready(left);  // its wait ended before it was off the CPU
      break;
    case fate::requeue: ready_last(left); break;
    case fate::requeue_common:
      scheduler::common_.push(left);
      scheduler::notify_from_outside();
      break;
    case fate::bury:
      goroutine_pool::detach_stack(*left, &pool_);
      goroutine_pool::give_record(*left, &pool_);
      break;
  }
  handover_ = fate::none;
}

// The fiber of a fresh stack must not be made by a goroutine: ThreadSanitizer would take that for an order. The worker's
// own stack does it.
goroutine* worker::leave_under_tsan(goroutine* next) noexcept {
  release_raised_stops();
  if (next == nullptr || next->stack_ != nullptr) return next;
  fresh_ = next;
  return nullptr;
}

// The running goroutine leaves the CPU; returns when it has it again, perhaps on another worker.
void worker::leave(fate what, parking::waiter* w) noexcept {
  goroutine* const self = running();
  if (is_blocked()) scheduler::leave_blocking(*this);
  // One that leaves because the worker is one too many leaves it idle.
  goroutine* next = what == fate::requeue_common ? nullptr : pick();
  if (next == nullptr && what == fate::requeue && !scheduler::is_stopping_.load(std::memory_order_relaxed)) return;
  if (platform::is_tsan) next = leave_under_tsan(next);
  left_ = self;
  left_waiter_ = w;
  handover_ = what;
  self->exceptions_ = *exceptions_;
  switch_from(&self->saved_, next, false);
  worker& here = *current();
  *here.exceptions_ = self->exceptions_;
  here.arrive();
}

void worker::park(parking::waiter& w) noexcept { leave(fate::park, &w); }
void worker::yield() noexcept {
  const bool is_surplus = scheduler::active_of(scheduler::status_.load(std::memory_order_relaxed)) > scheduler::limit();
  leave(is_surplus ? fate::requeue_common : fate::requeue, nullptr);
}
void worker::yield_to_common_queue() noexcept { leave(fate::requeue_common, nullptr); }

// The first function on a goroutine's stack. Not noexcept: an exception that nobody catches must find no handler at all,
// so that std::terminate runs with the throwing stack still there.
void worker::goroutine_main(void* first) {
  platform::after_switch(nullptr);
  auto* self = static_cast<goroutine*>(first);
  {
    worker& here = *current();
    *here.exceptions_ = platform::exception_state{};
    here.arrive();
  }
  do {
    platform::tsan_acquire(self->callable_);
    self->run_(self->callable_);
    if (self->is_callable_allocated_) {
      ::operator delete (self->callable_, std::align_val_t{std::size_t{1} << self->callable_alignment_});
    }
    self = current()->finish(*self);
  } while (self != nullptr);
  __builtin_unreachable();
}

// `ended` has ended. The next one may take over its stack, which is as warm as can be; else this does not return.
goroutine* worker::finish(goroutine& ended) noexcept {
  ended_.store(ended_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (is_blocked()) scheduler::leave_blocking(*this);
  goroutine* next = pick();
  if (platform::is_tsan) next = leave_under_tsan(next);
  // Not under ThreadSanitizer: its fiber would order what the two do.
  if (next != nullptr && next->stack_ == nullptr && next->stack_class_ == ended.stack_class_ && !platform::is_tsan &&
      !ended.stack_->has_canary) {
    next->stack_ = ended.stack_;
    ended.stack_ = nullptr;
    goroutine_pool::give_record(ended, &pool_);
    start_running(next);
    begin(*next);
    return next;
  }
  left_ = &ended;
  handover_ = fate::bury;
  void* nowhere = nullptr;
  switch_from(&nowhere, next, true);
  __builtin_unreachable();
}

// ---- Queues -----------------------------------------------------------------------------------------------------

void worker::ready(goroutine* g) noexcept {
  // order: acq_rel -- release pairs with a thief's acquire: the goroutine as it is now.
  goroutine* const kicked = next_.exchange(g, std::memory_order_acq_rel);
  // One goroutine more than this worker's next one is work for another; that alone is not worth a wake.
  if (kicked != nullptr) ready_last(kicked);
}

void worker::ready_last(goroutine* g) noexcept {
  // What has overflowed is older than what comes now, so it stays in front.
  if (overflow_.size() != 0 || !ring_.push(g)) overflow_.push(g);
  scheduler::notify();
}

// Fetches into the cache what the switches to come will touch: the record of one further on, and the stack of the next
// one, whose record has been fetched before. With a thousand goroutines neither is there any more.
void worker::prefetch() const noexcept {
  const goroutine* const later = ring_.peek(2);
  if (later == nullptr) return;
  __builtin_prefetch(later);
  __builtin_prefetch(reinterpret_cast<const char*>(later) + 64);
  const goroutine* const soon = ring_.peek(1);
  if (soon == nullptr) return;
  const char* const top = static_cast<const char*>(soon->saved_);
  for (std::size_t line = 0; line < 4; ++line) __builtin_prefetch(top + line * 64);
}

goroutine* worker::take_ring() noexcept {
  if (goroutine* const g = ring_.pop()) {
    prefetch();
    return g;
  }
  goroutine* first = nullptr;
  overflow_.pop(run_queue::capacity / 2, [&](goroutine* g) {
    if (first == nullptr) {
      first = g;
    } else {
      ring_.push(g);
    }
  });
  return first;
}

goroutine* worker::take_common() noexcept {
  goroutine* first = nullptr;
  const std::uint32_t room = run_queue::capacity - ring_.size();
  scheduler::common_.pop(room < common_batch ? room : common_batch, [&](goroutine* g) {
    if (first == nullptr) {
      first = g;
    } else {
      ring_.push(g);
    }
  });
  return first;
}

// The next goroutine of this worker's own, of the common queue, or of a timer that is due. Null: look further.
goroutine* worker::pick() noexcept {
  if (scheduler::is_stopping_.load(std::memory_order_relaxed)) return nullptr;
  goroutine* g = nullptr;
  // order: relaxed -- the lookout and the monitor compare it with what it was; being late costs them one look.
  const std::uint32_t tick = tick_.load(std::memory_order_relaxed) + 1;
  tick_.store(tick, std::memory_order_relaxed);
  if (tick % housekeeping == 0) {
    const std::uint64_t status = scheduler::status_.load(std::memory_order_relaxed);
    if (scheduler::active_of(status) > scheduler::limit()) return nullptr;
    // Its own shard, and by turns one of the others', whose worker may be asleep.
    const std::int64_t now = platform::now();
    timer_queue::fire_shard(index_ % timer_queue::shards, now);
    timer_queue::fire_shard(tick / housekeeping % timer_queue::shards, now);
    g = take_common();
    if (g == nullptr && scheduler::blocked_of(status) != 0) g = take_from_blocked();
  }
  if (g == nullptr && next_.load(std::memory_order_relaxed) != nullptr) {
    // It shares the time slice of the one that made it ready, so that a pair that hand each other the turn cannot keep
    // the queue waiting for ever. The coarse clock does: a slice is a few of its ticks.
    const bool is_over = ++next_in_a_row_ % slice_check == 0 && platform::coarse_now() - slice_start_ > time_slice;
    // order: acquire -- pairs with ready(), should another thread have put it there.
    if (!is_over) g = next_.exchange(nullptr, std::memory_order_acquire);
  }
  if (g == nullptr) {
    if (next_in_a_row_ != 0) {
      next_in_a_row_ = 0;
      slice_start_ = platform::coarse_now();
    }
    g = take_ring();
    if (g == nullptr) g = next_.exchange(nullptr, std::memory_order_acquire);
    if (g == nullptr) g = take_common();
    if (g == nullptr && timer_queue::earliest_of(index_ % timer_queue::shards) != platform::no_deadline &&
        timer_queue::fire_shard(index_ % timer_queue::shards, platform::now()) != 0) {
      g = next_.exchange(nullptr, std::memory_order_acquire);
    }
  }
  return g;
}

// Hands all it has to the others.
void worker::give_up_queue() noexcept {
  bool gave = false;
  if (goroutine* const g = next_.exchange(nullptr, std::memory_order_acquire)) {
    scheduler::common_.push(g);
    gave = true;
  }
  while (goroutine* const g = take_ring()) {
    scheduler::common_.push(g);
    gave = true;
  }
  if (gave) scheduler::notify_from_outside();
}

// ---- Nothing to do ----------------------------------------------------------------------------------------------

// Polls for a short while before giving the CPU back: what comes now is cheap to catch.
goroutine* worker::search() noexcept {
  scheduler::status_.fetch_add(scheduler::searching_one, std::memory_order_seq_cst);
  goroutine* g = nullptr;
  const std::int64_t until = platform::is_multiprocessor() ? platform::now() + search_time : 0;
  std::int64_t now = 0;
  do {
    now = platform::now();
    timer_queue::fire(now);
    g = next_.exchange(nullptr, std::memory_order_acquire);
    if (g == nullptr) g = take_ring();
    if (g == nullptr) g = take_common();
    if (g != nullptr || scheduler::is_stopping_.load(std::memory_order_relaxed)) break;
    platform::pause(16);
  } while (now < until);
  scheduler::status_.fetch_sub(scheduler::searching_one, std::memory_order_seq_cst);
  // While it was searching, others did not wake anybody for what they queued.
  if (g != nullptr && scheduler::common_.size() != 0) scheduler::notify();
  return g;
}

// Takes half of what another worker has.
goroutine* worker::steal_from(worker& victim) noexcept {
  if (ring_.steal_half(victim.ring_) != 0) return ring_.pop();
  goroutine* first = nullptr;
  const std::uint32_t left_over = victim.overflow_.size();
  const std::uint32_t half = left_over - left_over / 2;
  victim.overflow_.pop(half < run_queue::capacity ? half : run_queue::capacity, [&](goroutine* g) {
    if (first == nullptr) {
      first = g;
    } else {
      ring_.push(g);
    }
  });
  return first;
}

// Nobody else comes to what a worker has queued whose goroutine is in blocking(), while all that may be active are busy.
goroutine* worker::take_from_blocked() noexcept {
  const std::uint32_t count = scheduler::worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 1; i < count; ++i) {
    worker& other = *scheduler::workers_[(index_ + i) % count].load(std::memory_order_acquire);
    if (!other.is_blocked()) continue;
    goroutine* g = other.next_.load(std::memory_order_relaxed);
    // order: acquire -- pairs with ready().
    if (g != nullptr && other.next_.compare_exchange_strong(g, nullptr, std::memory_order_acquire)) return g;
    if ((g = other.ring_.steal_one()) != nullptr) return g;
    other.overflow_.pop(1, [&](goroutine* first) { g = first; });
    if (g != nullptr) return g;
  }
  return nullptr;
}

// One look of the lookout at all the others. Helps one that had work left over at the last look as well, or is stuck.
goroutine* worker::watch_for_surplus() noexcept {
  const std::uint32_t count = scheduler::worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 1; i < count; ++i) {
    worker* const other = scheduler::workers_[(index_ + i) % count].load(std::memory_order_acquire);
    if (other == nullptr) continue;
    const std::uint32_t tick = other->tick_.load(std::memory_order_relaxed);
    goroutine* const next = other->next_.load(std::memory_order_relaxed);
    const bool has_surplus = other->ring_.size() != 0 || other->overflow_.size() != 0;
    const bool is_still = other->seen_tick_ == tick;
    if (has_surplus && (other->seen_surplus_ || other->is_blocked())) {
      if (goroutine* const g = steal_from(*other)) return g;
    }
    if (next != nullptr && is_still && (other->seen_next_ == next || other->is_blocked())) {
      goroutine* expected = next;
      // order: acquire -- pairs with ready().
      if (other->next_.compare_exchange_strong(expected, nullptr, std::memory_order_acquire)) return next;
    }
    other->seen_tick_ = tick;
    other->seen_next_ = next;
    other->seen_surplus_ = has_surplus;
  }
  return nullptr;
}

// This worker is not active any more. Returns when it is again, with a goroutine or to search for one - or, with
// is_ending_ set, when its thread is to end.
goroutine* worker::rest() noexcept {
  const std::uint64_t s =
      scheduler::status_.fetch_sub(scheduler::active_one, std::memory_order_seq_cst) - scheduler::active_one;
  const bool is_surplus = scheduler::active_of(s) >= scheduler::limit();
  if (scheduler::is_stopping_.load(std::memory_order_acquire)) {
    for (;;) platform::futex_wait(wake_, wake_.load(std::memory_order_relaxed));
  }
  // order: seq_cst -- pairs with notify_from_outside: it queues and then reads `active`, we lower it and then read the
  // queue.
  if (!is_surplus && (scheduler::common_.size() != 0 || has_queued())) {
    scheduler::become_active();
    return nullptr;
  }
  worker* nobody = nullptr;
  if (is_surplus || !scheduler::lookout_.compare_exchange_strong(nobody, this, std::memory_order_seq_cst)) {
    is_ending_ = !sleep_until_woken();
    return nullptr;
  }

  goroutine* g = nullptr;
  std::int64_t nap = shortest_nap;
  std::int64_t last_active = platform::now();
  for (;;) {
    // order: relaxed -- a futex word; what it announces is looked at below, after the exchange.
    const bool was_woken = wake_.exchange(0, std::memory_order_seq_cst) != 0;
    if (was_woken || scheduler::common_.size() != 0 || scheduler::is_stopping_.load(std::memory_order_relaxed)) break;
    const std::int64_t now = platform::now();
    if (timer_queue::earliest() <= now) break;
    std::uint64_t status = scheduler::status_.load(std::memory_order_seq_cst);
    if (scheduler::active_of(status) != 0) last_active = now;
    const bool others_run = now - last_active < watch_longer;
    if (others_run || scheduler::blocked_of(status) != 0) {
      if ((g = watch_for_surplus()) != nullptr) break;
    }
    const std::uint64_t wanted = others_run ? status | scheduler::watching : status & ~scheduler::watching;
    if (wanted != status && !scheduler::status_.compare_exchange_strong(status, wanted, std::memory_order_seq_cst)) {
      continue;
    }
    std::int64_t until = others_run ? now + nap : platform::no_deadline;
    // order: seq_cst -- pairs with sleep_until_woken, which starts a timer and then reads this: one of us sees the other.
    scheduler::lookout_deadline_.store(until, std::memory_order_seq_cst);
    const std::int64_t timer = timer_queue::earliest();
    if (timer < until) scheduler::lookout_deadline_.store(until = timer, std::memory_order_seq_cst);
    if (scheduler::common_.size() == 0) platform::futex_wait(wake_, 0, until);
    nap = std::min(nap * 2, longest_nap);
  }
  scheduler::lookout_deadline_.store(INT64_MIN, std::memory_order_relaxed);
  scheduler::lookout_.store(nullptr, std::memory_order_seq_cst);
  scheduler::status_.fetch_and(~scheduler::watching, std::memory_order_seq_cst);
  scheduler::become_active();
  return g;
}

// Sleeps until wake_one picks this worker, or a timer is due that nobody else is up for. False: it was not needed for so
// long that its thread ends.
bool worker::sleep_until_woken() noexcept {
  scheduler::push_idle(*this);
  const std::int64_t now = platform::now();
  const std::int64_t timer = timer_queue::earliest();
  // order: seq_cst -- see rest().
  const std::int64_t covered = scheduler::lookout_deadline_.load(std::memory_order_seq_cst);
  std::int64_t until = timer < covered || covered == INT64_MIN ? timer : platform::no_deadline;
  const bool is_many = scheduler::worker_count_.load(std::memory_order_relaxed) > scheduler::limit();
  bool may_end = false;
  if (is_many && until > now + surplus_patience) {
    until = now + surplus_patience;
    may_end = true;
  }
  while (wake_.exchange(0, std::memory_order_seq_cst) == 0) {
    if (platform::futex_wait(wake_, 0, until)) continue;
    if (scheduler::remove_idle(*this)) {
      if (may_end) return false;
      break;
    }
    until = platform::no_deadline;  // somebody has picked this worker, and is about to wake it
  }
  // The wake may be an old one, meant for the lookout that this worker was: then it is in the list still.
  scheduler::remove_idle(*this);
  scheduler::become_active();
  return true;
}

void worker::run() noexcept {
  this_worker = this;
  thread_ = platform::thread_id();
  exceptions_ = platform::thread_exception_state();
  platform::install_signal_stack();
  platform::adopt_thread_stack(native_view_);
  scheduler::become_active();
  for (;;) {
    goroutine* g = std::exchange(fresh_, nullptr);
    const bool is_surplus =
        scheduler::active_of(scheduler::status_.load(std::memory_order_relaxed)) > scheduler::limit();
    if (g != nullptr) {
      // picked already
    } else if (is_surplus || scheduler::is_stopping_.load(std::memory_order_relaxed)) {
      give_up_queue();
    } else {
      g = pick();
      if (g == nullptr) g = search();
    }
    if (g == nullptr) g = rest();
    if (is_ending_) break;
    if (g == nullptr) continue;
    if (has_queued()) scheduler::notify();
    switch_from(&native_, g, false);
    arrive();
  }
  goroutine_pool::flush(pool_);
  this_worker = nullptr;
  is_ending_ = false;
  // order: release -- pairs with scheduler::start_worker: another thread may take this worker up.
  has_thread_.store(false, std::memory_order_release);
}

}  // namespace turnkey::runtime
