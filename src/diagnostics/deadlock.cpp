// "all goroutines are asleep - deadlock!": everybody waits, and nobody is left who could wake anyone.
//
// The monitor calls when no goroutine runs and no timer is pending. What remains are the OS threads: each must be a worker,
// the monitor, or parked in the library without a time limit; any other could still wake somebody. Threads are looked at
// one after the other, so one look proves nothing: A may be seen parked, then be woken by B, which then parks and is seen
// too. Hence two looks, and a count of each thread's waits: if nobody has waited anew between them, then at the moment
// between the two all were parked at once, and none had been signalled - whoever signals changes the waiter's state
// before it parks itself. Nobody can have run after that moment.
#include <cstdint>

#include "diagnostics/dump.hpp"
#include "diagnostics/install.hpp"
#include "diagnostics/waits.hpp"
#include "parking/hooks.hpp"
#include "parking/thread_control.hpp"
#include "platform/report.hpp"
#include "platform/thread.hpp"
#include "runtime/monitor.hpp"
#include "runtime/scheduler.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::thread_control;

struct look {
  bool is_asleep = true;      // all threads
  std::uint32_t waiting = 0;  // threads parked in the library
  std::uint64_t waits = 0;    // the sum of their counts
};

void look_at_thread(std::int32_t thread, void* result) noexcept {
  auto& seen = *static_cast<look*>(result);
  if (is_watching_thread(thread) || runtime::monitor::is_monitor_thread(thread) ||
      runtime::scheduler::is_worker_thread(thread))
    return;
  for (const thread_control* t = thread_control::all(); t != nullptr; t = t->next()) {
    if (t->thread() != thread) continue;
    const wait_state wait = read_wait(*t);
    if (!wait.is_parked || t->is_timed()) break;
    ++seen.waiting;
    seen.waits += t->waits();
    return;
  }
  seen.is_asleep = false;
}

look look_at_threads() noexcept {
  look seen;
  if (!platform::for_each_thread(look_at_thread, &seen)) seen.is_asleep = false;
  return seen;
}

[[noreturn]] void report_deadlock() noexcept {
  platform::text& out = platform::begin_fatal();
  out << "fatal error: all goroutines are asleep - deadlock!\n";
  write_threads(out);
  write_goroutines(out);
  platform::end_fatal(out);
}

// True: look again later.
bool check() noexcept {
  const look first = look_at_threads();
  if (!first.is_asleep) return first.waiting != 0 || runtime::scheduler::num_goroutines() != 0;
  if (!runtime::scheduler::is_all_asleep()) return true;
  const look second = look_at_threads();
  if (!second.is_asleep || second.waiting != first.waiting || second.waits != first.waits ||
      !runtime::scheduler::is_all_asleep()) {
    return true;
  }
  // No thread waits: main has left by pthread_exit.
  if (second.waiting == 0 && runtime::scheduler::num_goroutines() == 0) return false;
  report_deadlock();
}

}  // namespace

void watch_for_all_asleep() noexcept { parking::on_all_asleep.store(check, std::memory_order_release); }

}  // namespace turnkey::diagnostics
