// A goroutine as a thread of control.
#include "runtime/goroutine.hpp"

#include "platform/clock.hpp"
#include "platform/cpu.hpp"
#include "platform/futex.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timer_queue.hpp"
#include "runtime/worker.hpp"

namespace turnkey::runtime {

void goroutine::suspend(parking::waiter& w, std::int64_t deadline) noexcept {
  if (deadline == platform::no_deadline) {
    worker::current()->park(w);
    return;
  }
  if (deadline <= platform::now()) {
    w.alarm();
    return;
  }
  alarm_timer t(w, deadline);
  t.shard = scheduler::timer_shard(&t);
  if (!timer_queue::start(t)) timer_queue::end_without_room();
  worker::current()->park(w);
  timer_queue::cancel(t);
}

void goroutine::resume() noexcept { scheduler::ready(this); }

std::int64_t goroutine::spin_time() const noexcept {
  // A goroutine polls briefly, if the lock's holder may be running on another worker; then its worker has better to do.
  return platform::is_multiprocessor() && scheduler::max_procs() > 1 ? 1'000 : 0;
}

void goroutine::describe(platform::text& out) const noexcept {
  out << "goroutine " << id();
  if (name_length_ != 0) out << " \"" << name() << '"';
}

}  // namespace turnkey::runtime
