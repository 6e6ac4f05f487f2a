#include "diagnostics/waits.hpp"

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include <cstddef>
#include <new>

#include "channel/channel_core.hpp"
#include "diagnostics/names.hpp"
#include "platform/safe_read.hpp"
#include "sync/lock_core.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::reason;

void write_holder(platform::text& out, const lock_core& lock) noexcept {
  const std::uint32_t state = lock_protocol::state_of(lock);
  if (state >= lock_protocol::reader) {
    const std::uint32_t readers = state / lock_protocol::reader;
    out << ", held by " << std::uint64_t{readers} << (readers == 1 ? " reader" : " readers");
    return;
  }
  const std::uint32_t token = lock_protocol::owner(lock);
  if ((state & lock_protocol::held) == 0 || token == 0) return;  // free, or somebody has just taken it
  out << ", held by ";
  if (const parking::control* const holder = find_control(token)) {
    holder->describe(out);
    if (has_ended(*holder)) out << ", which has ended";
  } else {
    out << (parking::is_thread_token(token) ? "a thread which has ended" : "a goroutine which has ended");
  }
}

// What a wait is for may be gone once the wait has ended. So it is copied, and the copy counts if the wait still lasts.
template <class Object>
class object_copy {
 public:
  explicit object_copy(const wait_state& wait) noexcept {
    if (!platform::read_safely(bytes_, wait.object, sizeof bytes_)) return;
    const wait_state after = read_wait(*wait.who);
    is_good_ = after.is_parked && after.at == wait.at && after.object == wait.object;
  }
  explicit operator bool() const noexcept { return is_good_; }
  const Object& operator*() const noexcept { return *std::launder(reinterpret_cast<const Object*>(bytes_)); }

 private:
  alignas(Object) std::byte bytes_[sizeof(Object)];
  bool is_good_ = false;
};

// The word is read without the latch: it says what was so at one moment.
void write_channel(platform::text& out, const wait_state& wait) noexcept {
  const object_copy<channel_core> channel(wait);
  if (channel && channel_protocol::is_timer(*channel)) {
    write_object_name(out << ": waits on a timer's channel ", wait.object);
    return;
  }
  write_object_name(out << ": waits on channel ", wait.object);
  if (!channel) return;
  out << ", " << std::uint64_t{channel_protocol::size_of(channel_protocol::load(*channel))} << " of "
      << std::uint64_t{channel_protocol::real_capacity(*channel)};
}

// The protocol's part is a lock's first and only member.
void write_lock(platform::text& out, const wait_state& wait) noexcept {
  write_object_name(out, wait.object);
  if (const object_copy<lock_core> lock(wait); lock) write_holder(out, *lock);
}

}  // namespace

const parking::control* find_control(std::uint32_t token) noexcept {
  if (const auto* const thread = parking::thread_control::find(token)) return thread;
  return runtime::goroutine_pool::find(token);
}

bool has_ended(const parking::control& who) noexcept {
  if (who.is_thread()) return static_cast<const parking::thread_control&>(who).thread() == 0;
  return static_cast<const runtime::goroutine&>(who).load_status() == runtime::goroutine::status::unused;
}

const parking::control* holder_of(const wait_state& wait) noexcept {
  if (wait.why > reason::rw_mutex_lock_shared) return nullptr;
  const object_copy<lock_core> lock(wait);
  if (!lock || (lock_protocol::state_of(*lock) & lock_protocol::held) == 0) return nullptr;
  const std::uint32_t token = lock_protocol::owner(*lock);
  return token == 0 ? nullptr : find_control(token);
}

wait_state read_wait(const parking::control& who) noexcept {
  wait_state state;
  state.who = &who;
  state.at = who.waiting();
  // It is on somebody's stack, and that may go.
  alignas(parking::waiter) std::byte bytes[sizeof(parking::waiter)];
  if (state.at == nullptr || !platform::read_safely(bytes, state.at, sizeof bytes)) return state;
  const parking::waiter& w = *std::launder(reinterpret_cast<const parking::waiter*>(bytes));
  state.why = w.why();
  state.object = w.object();
  state.since = w.since();
  state.is_parked = w.load_state() == parking::waiter::state::parked && who.waiting() == state.at;
  return state;
}

std::string_view object_kind(reason why) noexcept {
  switch (why) {
    case reason::mutex_lock: return "mutex";
    case reason::rw_mutex_lock:
    case reason::rw_mutex_lock_shared: return "rw_mutex";
    case reason::wait_group_wait: return "wait_group";
    case reason::once_call: return "once";
    case reason::condition_wait: return "condition_variable";
    case reason::semaphore_acquire: return "semaphore";
    case reason::chan_send:
    case reason::chan_receive: return "channel";
    case reason::chan_send_nil:
    case reason::chan_receive_nil:
    case reason::select:
    case reason::select_no_cases:
    case reason::sleep: return "";
  }
  return "";
}

void write_object(platform::text& out, const wait_state& wait) noexcept {
  switch (wait.why) {
    case reason::mutex_lock:
    case reason::rw_mutex_lock:
    case reason::rw_mutex_lock_shared:
      out << ": waits for " << object_kind(wait.why) << ' ';
      write_lock(out, wait);
      break;
    case reason::wait_group_wait:
    case reason::once_call:
    case reason::condition_wait:
    case reason::semaphore_acquire:
      write_object_name(out << ": waits for " << object_kind(wait.why) << ' ', wait.object);
      break;
    case reason::chan_send:
    case reason::chan_receive: write_channel(out, wait); break;
    case reason::chan_send_nil:
    case reason::chan_receive_nil:
    case reason::select:
    case reason::select_no_cases:
    case reason::sleep: out << ':'; break;
  }
}

void write_reason(platform::text& out, const wait_state& wait, std::int64_t least, std::int64_t most) noexcept {
  out << " [" << parking::to_string(wait.why);
  if (wait.since != 0 && most > 0) {
    // Compared as they are written.
    char shortest_buffer[32];
    char longest_buffer[32];
    platform::text shortest(shortest_buffer, sizeof shortest_buffer);
    platform::text longest(longest_buffer, sizeof longest_buffer);
    shortest.duration(least);
    longest.duration(most);
    out << ", ";
    if (shortest.view() != longest.view()) out << shortest.view() << " to ";
    out << longest.view();
  }
  out << ']';
}

}  // namespace turnkey::diagnostics
