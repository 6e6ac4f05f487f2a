#include "diagnostics/waits.hpp"

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "channel/channel_core.hpp"
#include "diagnostics/names.hpp"
#include "parking/thread_control.hpp"
#include "platform/thread.hpp"
#include "runtime/goroutine.hpp"
#include "runtime/goroutine_pool.hpp"
#include "sync/lock_core.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::reason;

bool has_ended(const parking::control& who) noexcept {
  if (who.is_thread()) return static_cast<const parking::thread_control&>(who).thread() == 0;
  return static_cast<const runtime::goroutine&>(who).load_status() == runtime::goroutine::status::unused;
}

void write_holder(platform::text& out, const lock_core& lock) noexcept {
  const std::uint32_t state = lock_protocol::state_of(lock);
  if (state >= lock_protocol::reader) {
    const std::uint32_t readers = state / lock_protocol::reader;
    out << ", held by " << std::uint64_t{readers} << (readers == 1 ? " reader" : " readers");
    return;
  }
  if ((state & lock_protocol::held) == 0) return;
  out << ", held by ";
  const std::uint32_t token = lock_protocol::owner(lock);
  if (const parking::control* const holder = find_control(token)) {
    holder->describe(out);
    if (has_ended(*holder)) out << ", which has ended";
  } else {
    out << (parking::is_thread_token(token) ? "a thread which has ended" : "a goroutine which has ended");
  }
}

// The word is read without the latch: it says what was so at one moment.
void write_channel(platform::text& out, const channel_core& channel) noexcept {
  const std::uint64_t word = channel_protocol::load(channel);
  write_object_name(out << ": waits on channel ", &channel);
  out << ", " << std::uint64_t{channel_protocol::size_of(word)} << " of "
      << std::uint64_t{channel_protocol::real_capacity(channel)};
}

void write_object(platform::text& out, const wait_state& wait) noexcept {
  switch (wait.why) {
    case reason::mutex_lock:
      write_object_name(out << ": waits for mutex ", wait.object);
      // The protocol's part is a lock's first and only member.
      write_holder(out, *static_cast<const lock_core*>(wait.object));
      break;
    case reason::rw_mutex_lock:
    case reason::rw_mutex_lock_shared:
      write_object_name(out << ": waits for rw_mutex ", wait.object);
      write_holder(out, *static_cast<const lock_core*>(wait.object));
      break;
    case reason::wait_group_wait: write_object_name(out << ": waits for wait_group ", wait.object); break;
    case reason::once_call: write_object_name(out << ": waits for once ", wait.object); break;
    case reason::condition_wait: write_object_name(out << ": waits for condition_variable ", wait.object); break;
    case reason::semaphore_acquire: write_object_name(out << ": waits for semaphore ", wait.object); break;
    case reason::chan_send:
    case reason::chan_receive: write_channel(out, *static_cast<const channel_core*>(wait.object)); break;
    case reason::chan_send_nil:
    case reason::chan_receive_nil:
    case reason::select:
    case reason::select_no_cases:
    case reason::sleep: break;
  }
}

}  // namespace

const parking::control* find_control(std::uint32_t token) noexcept {
  if (const auto* const thread = parking::thread_control::find(token)) return thread;
  return runtime::goroutine_pool::find(token);
}

void write_stack(platform::text& out, const parking::control& who) noexcept {
  if (&who == &parking::control::current()) {
    out.stack();
    return;
  }
  if (who.is_thread()) return;
  const auto& g = static_cast<const runtime::goroutine&>(who);
  // It has said that it waits, and is about to leave its worker.
  constexpr int patience = 1000;
  for (int i = 0; i < patience && !read_wait(who).is_parked; ++i) platform::yield_thread();
  if (read_wait(who).is_parked && g.saved_stack() != nullptr) out.stack_of(g.saved_stack());
}

wait_state read_wait(const parking::control& who) noexcept {
  wait_state state;
  state.who = &who;
  const parking::waiter* const w = who.waiting();
  if (w == nullptr) return state;
  state.why = w->why();
  state.object = w->object();
  state.since = w->since();
  state.is_limited = w->is_limited();
  state.is_parked = w->load_state() == parking::waiter::state::parked;
  return state;
}

void write_wait(platform::text& out, const wait_state& wait, std::int64_t now) noexcept {
  wait.who->describe(out);
  out << " [" << parking::to_string(wait.why);
  if (now > wait.since) (out << ", ").duration(now - wait.since);
  out << ']';
  write_object(out, wait);
  out << '\n';
  if (wait.who->is_thread()) return;
  const auto& g = static_cast<const runtime::goroutine&>(*wait.who);
  if (g.saved_stack() == nullptr) return;
  out.stack_of(g.saved_stack());
}

}  // namespace turnkey::diagnostics
