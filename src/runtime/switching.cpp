// Switching between goroutines: who leaves the CPU, who comes next, and what a goroutine does to park and to be made ready.
// All that a switch calls is in this file, so that the compiler can make one function of it.
#include "runtime/worker.hpp"

#include <new>

#include "parking/stop_watch.hpp"
#include "parking/tracing.hpp"
#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey::runtime {

namespace {

// May be read before anything in a function can park; else it is worker::current(). See parking::current_control.
[[gnu::tls_model("initial-exec")]] thread_local constinit worker* this_worker = nullptr;

}  // namespace

[[gnu::noinline]] worker* worker::current() noexcept {
  asm volatile("");
  return this_worker;
}

void worker::set_current(worker* w) noexcept { this_worker = w; }

// ---- What is ready ------------------------------------------------------------------------------------------------

inline void worker::ready(goroutine* g) noexcept {
  if (next_.load(std::memory_order_relaxed) == nullptr) {
    // order: release -- pairs with a thief's acquire: the goroutine as it is now. Nobody else puts one there, so a store
    // does.
    next_.store(g, std::memory_order_release);
    return;
  }
  ready_instead(g);
}

// One goroutine more than this worker's next one is work for another; that alone is not worth a wake.
void worker::ready_instead(goroutine* g) noexcept {
  goroutine* kicked = next_.load(std::memory_order_relaxed);
  while (!ownership_.change(next_, kicked, g)) {
  }
  if (kicked != nullptr) ready_last(kicked);
}

void worker::ready_last(goroutine* g) noexcept {
  // What has overflowed is older than what comes now, so it stays in front.
  if (overflow_.size() != 0 || !ring_.push(g)) overflow_.push(g);
  scheduler::notify();
}

// Half a ring of what has overflowed; the first one is taken.
goroutine* worker::take_overflow() noexcept {
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

// The next one of this worker's own, unless it is time to look further, or a trace wants to know. What it does is short.
inline goroutine* worker::pick_quickly() noexcept {
  const std::uint32_t tick = tick_.load(std::memory_order_relaxed) + 1;
  if (tick % housekeeping == 0 || scheduler::has_slow_switches_.load(std::memory_order_relaxed)) return nullptr;
  goroutine* const g = take_own();
  if (g != nullptr) tick_.store(tick, std::memory_order_relaxed);
  return g;
}

// ---- Switching --------------------------------------------------------------------------------------------------

inline void worker::start_running(goroutine* g) noexcept {
  running_.store(g, std::memory_order_relaxed);
  parking::current_control = g;
  parking::set_current_token(g->quick_token());
}

// Switches from the running stack, whose pointer goes to *saved, to `next`, or to this worker's own stack if it is null.
inline void worker::switch_from(void** saved, goroutine* next, bool ends) noexcept {
  void* to = native_;
  const platform::sanitizer_stack* view = &native_view_;
  if (next != nullptr) {
    start_running(next);
    if (!next->has_started_) [[unlikely]]
      begin(*next);
    to = next->saved_;
    view = &next->stack_->view;
  } else {
    running_.store(nullptr, std::memory_order_relaxed);
    parking::current_control = nullptr;
    parking::set_current_token(0);
  }
  void* fake = nullptr;
  platform::before_switch(&fake, *view, ends);
  turnkey_switch(saved, to);
  platform::after_switch(fake);
}

// A goroutine that runs for the first time.
void worker::begin(goroutine& g) noexcept {
  if (g.stack_ == nullptr && !goroutine_pool::attach_stack(g, &pool_, goroutine_main)) {
    platform::fatal("out of memory: no stack for a goroutine");
  }
  g.has_started_ = true;
  g.status_.store(goroutine::status::running, std::memory_order_relaxed);
  if (platform::is_tsan) platform::name_stack(g.stack_->view, g.name().empty() ? "" : g.name().data());
}

// Does what is to be done for the one that has just left the CPU.
inline void worker::arrive() noexcept {
  if (handover_ == fate::unlatch) {
    // order: release -- pairs with whoever takes the latch next, and may resume the goroutine: its saved stack.
    left_word_->store(left_after_, std::memory_order_release);
  } else {
    settle();
  }
  handover_ = fate::none;
}

void worker::settle() noexcept {
  goroutine* const left = left_;
  switch (handover_) {
    case fate::none:
    case fate::unlatch: break;
    case fate::park:
      if (!left_waiter_->commit_park()) ready(left);  // its wait ended before it was off the CPU
      break;
    case fate::requeue: ready_last(left); break;
    case fate::requeue_last:
      // Behind all: with slices of 10 ms it would take long until a worker whose own queue is never empty came to the common one.
      scheduler::common_.push(left);
      scheduler::notify();
      break;
    case fate::requeue_common:
      scheduler::common_.push(left);
      scheduler::notify_from_outside();
      break;
    case fate::bury:
      goroutine_pool::detach_stack(*left, &pool_);
      goroutine_pool::give_record(*left, &pool_);
      break;
  }
}

// The fiber of a fresh stack must not be made by a goroutine: ThreadSanitizer would take that for an order. The worker's
// own stack does it.
goroutine* worker::leave_under_tsan(goroutine* next) noexcept {
  release_raised_stops();
  if (next == nullptr || next->stack_ != nullptr) return next;
  fresh_ = next;
  return nullptr;
}

// The running goroutine leaves the CPU; returns when it has it again, perhaps on another worker. False: it was to be queued again
// and nobody else is ready, so it has stayed.
bool worker::leave(fate what, parking::waiter* w) noexcept {
  if (is_blocked()) scheduler::leave_blocking(*this);
  // One that leaves because the worker is one too many leaves it idle.
  goroutine* next = what == fate::requeue_common ? nullptr : pick();
  if (next == nullptr && (what == fate::requeue || what == fate::requeue_last) &&
      !scheduler::is_stopping_.load(std::memory_order_relaxed))
    return false;
  if (platform::is_tsan) next = leave_under_tsan(next);
  if (const parking::tracer* const tracing = parking::trace()) [[unlikely]]
    tracing->runs(next);
  left_waiter_ = w;
  leave_to(next, what);
  return true;
}

// Returns when the running goroutine has the CPU again, perhaps on another worker.
inline void worker::leave_to(goroutine* next, fate what) noexcept {
  goroutine* const self = running();
  left_ = self;
  handover_ = what;
  self->exceptions_ = *exceptions_;
  switch_from(&self->saved_, next, false);
  worker& here = *current();
  *here.exceptions_ = self->exceptions_;
  here.arrive();
}

inline void worker::park(parking::waiter& w) noexcept {
  if (const parking::tracer* const tracing = parking::trace()) [[unlikely]]
    tracing->waits(w);
  leave(fate::park, &w);
}

bool worker::yield() noexcept {
  const bool is_surplus = scheduler::active_of(scheduler::status_.load(std::memory_order_relaxed)) > scheduler::limit();
  return leave(is_surplus ? fate::requeue_common : fate::requeue, nullptr);
}
void worker::yield_to_everybody() noexcept { leave(fate::requeue_last, nullptr); }
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
  const parking::tracer* const tracing = parking::trace();
  if (tracing != nullptr) [[unlikely]]
    tracing->ended(ended);
  ended_.store(ended_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (is_blocked()) scheduler::leave_blocking(*this);
  goroutine* next = pick();
  if (platform::is_tsan) next = leave_under_tsan(next);
  if (tracing != nullptr) [[unlikely]]
    tracing->runs(next);
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

// Back to the worker's own stack; see run().
void worker::run_until_idle(goroutine* first) noexcept {
  if (const parking::tracer* const tracing = parking::trace()) [[unlikely]]
    tracing->runs(first);
  switch_from(&native_, first, false);
  arrive();
}

// ---- A goroutine as a thread of control ---------------------------------------------------------------------------

void goroutine::suspend(parking::waiter& w, std::int64_t deadline) noexcept {
  worker& here = *this_worker;
  if (deadline == platform::no_deadline) {
    w.set_since(here.clock());
    here.park(w);
    return;
  }
  const std::int64_t now = platform::now();
  if (deadline <= now) {
    w.alarm();
    return;
  }
  w.set_since(now);
  alarm_timer t(w, deadline);
  t.shard = scheduler::timer_shard(&t);
  if (!timer_queue::start(t)) timer_queue::end_without_room();
  here.park(w);
  timer_queue::cancel(t);
}

// If another can follow at once, the latch is held until it does; a longer search is no time to hold a latch.
void goroutine::suspend_unlatching(parking::waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept {
  worker& here = *this_worker;
  w.set_since(here.clock());
  goroutine* const next = here.is_blocked() || platform::is_tsan ? nullptr : here.pick_quickly();
  if (next == nullptr) [[unlikely]] {
    // order: release -- the caller's latch: see waiter::wait_unlatching().
    word.store(after, std::memory_order_release);
    here.park(w);
    return;
  }
  w.park_under_latch();
  here.left_word_ = &word;
  here.left_after_ = after;
  here.leave_to(next, worker::fate::unlatch);
}

bool goroutine::give_way() noexcept {
  worker& here = *this_worker;
  return !here.is_blocked() && here.yield();
}

void goroutine::end_time_slice() noexcept {
  worker& here = *this_worker;
  if (!here.is_blocked()) here.yield_to_everybody();
}

void goroutine::resume() noexcept {
  worker* const here = this_worker;
  if (here != nullptr && !here->is_blocked()) [[likely]] {
    here->ready(this);
  } else {
    scheduler::ready_from_outside(this);
  }
}

}  // namespace turnkey::runtime
