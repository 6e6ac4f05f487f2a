// Finding the next goroutine to run; see worker.hpp and scheduler.hpp. What a switch needs of that is in switching.cpp.
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

constexpr std::uint32_t common_batch = 64;  // taken from the common queue at once
constexpr int steal_looks = 16;             // at a ring that has just become empty, 50 ns apart
constexpr std::int64_t search_time = 10'000;
constexpr std::int64_t shortest_nap = 50'000;
constexpr std::int64_t longest_nap = 500'000;
constexpr std::int64_t worth_while = 200'000;  // the lookout's help was, if it has to do for so long
constexpr std::int64_t watch_longer =
    5'000'000;  // the lookout goes on napping for so long after the last one has gone idle
constexpr std::int64_t surplus_patience = 1'000'000'000;  // a thread that nobody needed for so long ends

}  // namespace

// ---- Finding work -------------------------------------------------------------------------------------------------

// At least one, however full the ring is: it runs at once. Else those that yield in a full ring would keep the others from ever
// running.
goroutine* worker::take_common() noexcept {
  goroutine* first = nullptr;
  const std::uint32_t room = run_queue::capacity - ring_.size() + 1;
  scheduler::common_.pop(room < common_batch ? room : common_batch, [&](goroutine* g) {
    if (first == nullptr) {
      first = g;
    } else {
      ring_.push(g);
    }
  });
  return first;
}

// The same, but behind those that are in the ring, as long as there is room. Where time slices end one goes to the common queue at
// each switch: with the right of way it would be back at the next one, and those in the ring would never run.
[[gnu::noinline, gnu::cold]] goroutine* worker::queue_common() noexcept {
  is_hastened_.store(false, std::memory_order_relaxed);
  const std::uint32_t room = run_queue::capacity - ring_.size();
  if (room == 0) return take_common();
  scheduler::common_.pop(room < common_batch ? room : common_batch, [&](goroutine* g) { ring_.push(g); });
  return nullptr;
}

// An OS thread that starts many goroutines is at its fastest while nobody takes them from it one by one: each time, the
// queue's lock and the goroutine go from CPU to CPU. So while it goes on, they are left to gather, for 3 us at most. A wait
// that is in vain, because that thread has nothing more to start or even waits for this one, is not repeated soon.
void worker::await_burst() noexcept {
  std::uint32_t seen = scheduler::common_.size();
  if (seen == 0 || seen >= common_batch || !platform::is_multiprocessor()) return;
  if (vain_waits_.leave_out()) return;
  for (int looks = 0; looks < 8; ++looks) {
    platform::pause(16);
    const std::uint32_t size = scheduler::common_.size();
    if (size <= seen) {
      if (looks == 0) vain_waits_.note_failure();
      return;
    }
    seen = size;
    vain_waits_.note_success();
  }
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
    set_clock(now);
    note_cpu();
    timer_queue::fire_shard(index_ % timer_queue::shards, now);
    timer_queue::fire_shard(tick / housekeeping % timer_queue::shards, now);
    g = is_hastened_.load(std::memory_order_relaxed) ? queue_common() : take_common();
    if (g == nullptr && scheduler::blocked_of(status) != 0) g = take_from_blocked();
  }
  if (g == nullptr) g = take_own();
  if (g == nullptr) {
    await_burst();
    g = take_common();
    if (g == nullptr && timer_queue::earliest_of(index_ % timer_queue::shards) != platform::no_deadline &&
        timer_queue::fire_shard(index_ % timer_queue::shards, platform::now()) != 0) {
      g = take_next();
    }
  }
  return g;
}

// Hands all it has to the others.
void worker::give_up_queue() noexcept {
  bool gave = false;
  while (goroutine* const g = take_own()) {
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
    set_clock(now);
    timer_queue::fire(now);
    g = take_own();
    if (g == nullptr) {
      await_burst();
      g = take_common();
    }
    if (g != nullptr || scheduler::is_stopping_.load(std::memory_order_relaxed)) break;
    platform::pause(16);
  } while (now < until);
  scheduler::status_.fetch_sub(scheduler::searching_one, std::memory_order_seq_cst);
  // While it was searching, others did not wake anybody for what they queued.
  if (g != nullptr && scheduler::common_.size() != 0) scheduler::notify();
  return g;
}

// For a thief on a visit to this worker: g, if that is still next. Null: it is not.
goroutine* worker::steal_next(goroutine* g) noexcept {
  // order: acquire -- pairs with ready().
  if (g == nullptr || !next_.compare_exchange_strong(g, nullptr, std::memory_order_acquire)) return nullptr;
  return g;
}

// Takes half of what another worker has.
goroutine* worker::steal_from(worker& victim) noexcept {
  if (victim.ring_.size() != 0) {
    const queue_ownership::visit visit(victim.ownership_, victim.is_blocked_);
    // Where two run by turns it is empty for half of the time.
    for (int looks = 0; looks < steal_looks; ++looks) {
      if (ring_.steal_half(victim.ring_) != 0) return ring_.pop(ownership_);
      platform::pause(2);
    }
  }
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

// f(other) for all other workers, from the one behind this one on, until it is true.
template <class F>
bool worker::any_other(F f) const noexcept {
  const std::uint32_t count = scheduler::worker_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 1; i < count; ++i) {
    if (f(*scheduler::workers_[(index_ + i) % count].load(std::memory_order_acquire))) return true;
  }
  return false;
}

// Nobody else comes to what a worker has queued whose goroutine is in blocking(), while all that may be active are busy.
goroutine* worker::take_from_blocked() noexcept {
  goroutine* g = nullptr;
  any_other([&](worker& other) {
    if (!other.is_blocked()) return false;
    if (other.next_.load(std::memory_order_relaxed) != nullptr || other.ring_.size() != 0) {
      const queue_ownership::visit visit(other.ownership_, other.is_blocked_);
      g = other.steal_next(other.next_.load(std::memory_order_relaxed));
      if (g == nullptr) g = other.ring_.steal_one();
    }
    if (g == nullptr) other.overflow_.pop(1, [&](goroutine* first) { g = first; });
    return g != nullptr;
  });
  return g;
}

// Whether another worker is in the middle of a goroutine on this very CPU, or was when it last said where it is: then it does
// not get on with it while this one runs.
bool worker::shares_cpu() const noexcept {
  const int here = platform::current_cpu();
  return here >= 0 && any_other([here](const worker& other) {
           return other.running() != nullptr && !other.is_blocked() &&
                  other.cpu_.load(std::memory_order_relaxed) == here;
         });
}

// One look of the lookout at all the others. Helps one that had work left over at the last look as well, or is stuck; but
// what it took to a CPU that another worker is busy on would only be run in turns with that.
goroutine* worker::watch_for_surplus() noexcept {
  crowded_looks_ = shares_cpu() ? crowded_looks_ + 1 : 0;
  const bool has_room =
      crowded_looks_ == 0 || crowded_looks_ > scheduler::crowd_patience.load(std::memory_order_relaxed);
  goroutine* g = nullptr;
  any_other([&](worker& other) {
    const std::uint32_t tick = other.tick_.load(std::memory_order_relaxed);
    goroutine* const next = other.next_.load(std::memory_order_relaxed);
    const bool has_surplus = other.ring_.size() != 0 || other.overflow_.size() != 0;
    const bool is_still = other.seen_tick_ == tick;
    if (has_surplus && ((other.seen_surplus_ && has_room) || other.is_blocked())) {
      g = steal_from(other);
      if (g != nullptr) return true;
    }
    if (next != nullptr && is_still && ((other.seen_next_ == next && has_room) || other.is_blocked())) {
      const queue_ownership::visit visit(other.ownership_, other.is_blocked_);
      g = other.steal_next(next);
      if (g != nullptr) return true;
    }
    other.seen_tick_ = tick;
    other.seen_next_ = next;
    other.seen_surplus_ = has_surplus;
    return false;
  });
  return g;
}

// The lookout's first nap: the longest if it had little to do since it last was the lookout. Goroutines that pass something
// round, or are many and short, look like a surplus whenever it comes by. What it takes from them it gets for the price of a
// fence, they run on another CPU, where nothing of theirs is warm, and it is idle again at once.
std::int64_t worker::first_nap(std::int64_t now) noexcept {
  if (now - left_rest_at_ >= worth_while) return shortest_nap;
  any_other([](worker& other) {  // what it saw then counts no more
    other.seen_next_ = nullptr;
    other.seen_surplus_ = false;
    return false;
  });
  return longest_nap;
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
  crowded_looks_ = 0;
  std::int64_t last_active = platform::now();
  std::int64_t nap = first_nap(last_active);
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
  left_rest_at_ = platform::now();
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

// If the worker counts on just now, one of the two is lost: the wish, or a tick or more.
std::uint32_t worker::hasten_housekeeping() noexcept {
  const std::uint32_t tick = tick_.load(std::memory_order_relaxed) | (housekeeping - 1);
  tick_.store(tick, std::memory_order_relaxed);
  is_hastened_.store(true, std::memory_order_relaxed);
  return tick;
}

// While the thread is there: where it is asked to give way.
void worker::set_token_place(std::atomic<std::uint32_t>* place) noexcept {
  scheduler::idle_lock_.lock();
  token_place_ = place;
  scheduler::idle_lock_.unlock();
}

// Should it have left the CPU meanwhile, the next goroutine has lost its token, and gives way too soon for once.
void worker::ask_to_give_way() noexcept {
  scheduler::idle_lock_.lock();
  // order: relaxed -- it announces nothing.
  if (token_place_ != nullptr) token_place_->store(0, std::memory_order_relaxed);
  scheduler::idle_lock_.unlock();
}

void worker::run() noexcept {
  set_current(this);
  set_token_place(&parking::current_token_word);
  thread_ = platform::thread_id();
  exceptions_ = platform::thread_exception_state();
  platform::install_signal_stack();
  platform::adopt_thread_stack(native_view_);
  set_clock(platform::now());
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
    note_cpu();
    run_until_idle(g);
  }
  goroutine_pool::flush(pool_);
  set_token_place(nullptr);
  set_current(nullptr);
  is_ending_ = false;
  // order: release -- pairs with scheduler::start_worker: another thread may take this worker up.
  has_thread_.store(false, std::memory_order_release);
}

}  // namespace turnkey::runtime
