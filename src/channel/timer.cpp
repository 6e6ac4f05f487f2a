#include "channel/timer.hpp"

#include <new>
#include <stdexcept>

#include "channel/deadline.hpp"
#include "platform/clock.hpp"
#include "runtime/launcher.hpp"
#include "runtime/scheduler.hpp"

namespace turnkey {

using runtime::scheduler;
using runtime::timer_queue;

namespace {

using ticks = channel_value<tick_source::time_point>;
static_assert(ticks::is_word, "ticks are copied by the library, where no sanitizer watches");

// Their edges are the timer's own, which note_received() has: a tick is sent by nobody.
constexpr channel_type tick_channel{.stride = ticks::type.stride,
                                    .alignment = ticks::type.alignment,
                                    .is_word = true,
                                    .move = nullptr,
                                    .destroy = nullptr,
                                    .is_timer = true};

std::int64_t next_tick(std::int64_t due, std::int64_t period, std::int64_t now) noexcept {
  // Those that are over by now are dropped; what is left keeps to the rhythm.
  const std::int64_t late = now - due;
  const std::int64_t wait = period - late % period;
  constexpr std::int64_t last = platform::no_deadline - 1;
  return wait > last - now ? last : now + wait;
}

}  // namespace

channel_core* channel_timer::make(std::int64_t nanoseconds, std::int64_t period) {
  runtime::launcher::require_scheduler("turnkey: a timer cannot start a worker thread");
  channel_core* const channel = channel_core::make(tick_channel, 1, sizeof(channel_timer));
  ::new (channel_protocol::extra(*channel)) channel_timer(*channel, nanoseconds, period);
  return channel;
}

channel_timer::channel_timer(channel_core& channel, std::int64_t nanoseconds, std::int64_t period) noexcept
    : channel_(channel), period_(period), due_(deadline_after(nanoseconds)) {
  shard = scheduler::timer_shard(this);
  fire = [](runtime::timer& self, std::int64_t now) noexcept {
    auto& mine = static_cast<channel_timer&>(self);
    mine.tick(now);
    return mine.due_.load(std::memory_order_relaxed);
  };
  platform::tsan_release(this);
}

chan_status channel_timer::receive(void* to, const wait_limit* limit) {
  look();
  chan_status status = channel_protocol::receive(channel_, to, nullptr, nullptr);
  if (status == chan_status::would_block && limit != nullptr) {
    enter();
    status = channel_protocol::receive(channel_, to, nullptr, limit);
    leave();
  }
  if (status == chan_status::ok) note_received();
  return status;
}

bool channel_timer::stop() noexcept {
  hold held(*this);
  return disarm(held);
}

bool channel_timer::reset(std::int64_t nanoseconds, std::int64_t period) noexcept {
  platform::tsan_release(this);
  const std::int64_t due = deadline_after(nanoseconds);
  bool was_active = false;
  bool is_queued = false;
  {
    hold held(*this);
    was_active = disarm(held);
    period_ = period;
    due_.store(due, std::memory_order_relaxed);
    if (receivers_ != 0) start(held, platform::now());
    is_queued = held.is_pending();
  }
  if (is_queued) scheduler::note_timer(due);
  return was_active;
}

void channel_timer::look() noexcept {
  const std::int64_t due = due_.load(std::memory_order_relaxed);
  if (due == none || due > platform::now()) return;
  const hold held(*this);
  // Again, under the lock. One that is in the queue is somebody's who waits already and will be served first.
  const std::int64_t now = platform::now();
  if (!held.is_pending() && due_.load(std::memory_order_relaxed) <= now) tick(now);
}

void channel_timer::enter() noexcept {
  {
    hold held(*this);
    if (receivers_++ != 0) return;
    start(held, platform::now());
    if (!held.is_pending()) return;
  }
  scheduler::note_timer(due_.load(std::memory_order_relaxed));
}

void channel_timer::leave() noexcept {
  hold held(*this);
  if (--receivers_ == 0 && held.is_pending()) held.cancel();
}

// Restores invariant L once due_ or receivers_ has changed so that the timer may have to be in the queue.
void channel_timer::start(hold& held, std::int64_t now) noexcept {
  if (due_.load(std::memory_order_relaxed) <= now) tick(now);
  deadline = due_.load(std::memory_order_relaxed);
  if (deadline != none && !held.start()) timer_queue::end_without_room();
}

bool channel_timer::disarm(hold& held) noexcept {
  const bool was_due = due_.load(std::memory_order_relaxed) != none;
  due_.store(none, std::memory_order_relaxed);
  if (held.is_pending()) held.cancel();
  channel_protocol::hold latch(channel_);
  const bool has_tick = channel_protocol::size_of(latch.word) != 0;
  channel_protocol::clear(channel_, latch.word);
  return was_due || has_tick;
}

// The tick is due. One that nobody has received yet stays, and this one is dropped.
void channel_timer::tick(std::int64_t now) noexcept {
  const std::int64_t due = due_.load(std::memory_order_relaxed);
  due_.store(period_ == 0 ? none : next_tick(due, period_, now), std::memory_order_relaxed);
  put(due);
}

void channel_timer::put(std::int64_t due) noexcept {
  std::uint64_t word = ticks::to_word(tick_source::time_point(std::chrono::nanoseconds(due)));
  channel_case me;
  me.channel = &channel_;
  me.value = &word;
  me.is_send = true;
  channel_protocol::hold latch(channel_);
  static_cast<void>(channel_protocol::serve(channel_, latch.word, me, latch.served));
}

// ---- The public functions ---------------------------------------------------------------------------------------

receiver<tick_source::time_point> tick_source::make(std::int64_t nanoseconds, std::int64_t period) {
  return receiver<time_point>(channel_timer::make(nanoseconds, period));
}

bool tick_source::stop(const receiver<time_point>& channel) noexcept {
  return channel_timer::of(*channel_access::core(channel)).stop();
}

bool tick_source::reset(const receiver<time_point>& channel, std::int64_t nanoseconds, std::int64_t period) noexcept {
  return channel_timer::of(*channel_access::core(channel)).reset(nanoseconds, period);
}

std::int64_t tick_source::checked_period(std::int64_t nanoseconds, const char* complaint) {
  if (nanoseconds <= 0) throw std::invalid_argument(complaint);
  return nanoseconds;
}

}  // namespace turnkey
