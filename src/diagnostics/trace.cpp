// The trace: what is recorded, when it begins, and when its file is written.
//
// Parking, the scheduler and the locks call (parking::tracer, lock_watcher); each call makes one record in the calling OS
// thread's ring. What the records mean together is found out when somebody wants to see them: trace_story.cpp; and how it is
// written: trace_json.cpp.
#include "diagnostics/trace.hpp"

#include <turnkey/trace.hpp>

#include <algorithm>
#include <cstring>
#include <new>

#include "diagnostics/install.hpp"
#include "diagnostics/trace_json.hpp"
#include "diagnostics/trace_ring.hpp"
#include "diagnostics/trace_story.hpp"
#include "diagnostics/waits.hpp"
#include "parking/thread_control.hpp"
#include "parking/tracing.hpp"
#include "parking/waiter.hpp"
#include "platform/clock.hpp"
#include "platform/environment.hpp"
#include "platform/file.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/thread.hpp"
#include "runtime/goroutine.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/worker.hpp"
#include "sync/lock_core.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;
using parking::reason;

// ---- Recording ------------------------------------------------------------------------------------------------------

// Who does what happens now. Nobody: a timer, or the scheduler. Never inlined: it reads thread-locals.
[[gnu::noinline]] party current_party() noexcept {
  if (parking::is_timer_firing) return {};
  const control* const running = parking::current_control;
  if (running != nullptr) return party_of(*running);
  return runtime::worker::current() != nullptr ? party() : party::thread(platform::thread_id());
}

constinit std::int64_t began = 0;  // on the steady clock; 0: nothing is recorded
using look_function = void (*)(const parking::waiter& w) noexcept;
constinit look_function look_before_wait = nullptr;

[[gnu::noinline]] void record(trace_kind what, party who, std::uint64_t object = 0, reason why = {},
                              party holder = {}) noexcept {
  if (began == 0) return;
  trace_ring* const ring = trace_ring::of_this_thread();
  if (ring == nullptr) return;
  trace_record made;
  made.word[2] = who.word();
  made.word[3] = object;
  made.word[4] = holder.word();
  ring->add(what, why, made, trace_record::words_without_text);
}

[[gnu::noinline]] void record_text(trace_kind what, party who, std::uint64_t object, std::string_view text) noexcept {
  if (began == 0) return;
  trace_ring* const ring = trace_ring::of_this_thread();
  if (ring == nullptr) return;
  trace_record made{};
  made.word[2] = who.word();
  made.word[3] = object;
  char kept[trace_record::longest_text + 1] = {};
  const std::size_t length = std::min(text.size(), trace_record::longest_text);
  for (std::size_t i = 0; i < length; ++i) kept[i] = text[i];
  std::memcpy(&made.word[4], kept, sizeof kept);
  ring->add(what, {}, made, trace_record::words);
}

std::uint64_t word_of(const void* object) noexcept { return reinterpret_cast<std::uintptr_t>(object); }

// Who has the lock that `w`, queued for it, is about to wait for: it is there as long as that wait.
party holder_of_lock(const parking::waiter& w) noexcept {
  if (w.why() > reason::rw_mutex_lock_shared) return {};
  const lock_core& lock = *static_cast<const lock_core*>(w.object());
  const std::uint32_t state = lock_protocol::state_of(lock);
  if (state >= lock_protocol::reader) return party::readers(state / lock_protocol::reader);
  const std::uint32_t token = (state & lock_protocol::held) != 0 ? lock_protocol::owner(lock) : 0;
  const control* const holder = token != 0 ? find_control(token) : nullptr;
  return holder != nullptr ? party_of(*holder) : party();
}

constexpr parking::tracer tracer{
    .created =
        [](const control& made) noexcept {
          record_text(trace_kind::created, current_party(), party_of(made).word(),
                      static_cast<const runtime::goroutine&>(made).name());
        },
    .runs =
        [](const control* who) noexcept {
          record(who != nullptr ? trace_kind::runs : trace_kind::idle, who != nullptr ? party_of(*who) : party());
        },
    .ended = [](const control& who) noexcept { record(trace_kind::ended, party_of(who)); },
    .waits =
        [](const parking::waiter& w) noexcept {
          if (look_before_wait != nullptr) look_before_wait(w);
          record(trace_kind::waits, party_of(w.control()), word_of(w.object()), w.why(), holder_of_lock(w));
        },
    .goes_on = [](const control& who) noexcept { record(trace_kind::goes_on, party_of(who)); },
    .wakes =
        [](const control& whom) noexcept {
          // Its own time limit, of which the kernel has told it.
          const party waker = &whom == parking::current_control ? party() : current_party();
          record(trace_kind::wakes, waker, party_of(whom).word());
        },
};

// ---- Beginning ------------------------------------------------------------------------------------------------------

constinit std::int64_t kept_time = 0;  // 0: all that there is

bool is_recording() noexcept { return began != 0; }

// From now on, for good.
void set_tracer() noexcept {
  runtime::scheduler::switch_slowly();
  // order: release -- pairs with nothing: there are no others yet.
  parking::the_tracer.store(&tracer, std::memory_order_release);
}

void begin() noexcept {
  constexpr std::int64_t usual = 1 << 15;
  constexpr std::int64_t least = 16;
  constexpr std::int64_t most = 1 << 24;
  trace_ring::set_capacity(
      static_cast<std::uint32_t>(platform::environment_integer("TURNKEY_TRACE_EVENTS", least, most, usual)));
  kept_time = platform::environment_duration("TURNKEY_TRACE_LAST", 0);
  began = platform::now();
  watch_locks_for_trace();
  set_tracer();
}

// ---- Writing --------------------------------------------------------------------------------------------------------

constinit platform::raw_lock writing;  // one at a time: they may write the same file

bool write_file(const char* path) noexcept {
  if (!is_recording()) return false;
  const platform::tsan_ignore ignore;
  mapped_array<trace_record> records;
  const auto [lost, now] = trace_ring::collect(records);
  trace_story story(records, kept_time == 0 ? INT64_MIN : now - kept_time, now);
  story.tell();
  platform::output_file file(path);
  write_chrome_json(file, story, {.began = began, .recorded = records.size(), .lost = lost});
  return file.close();
}

// ---- TURNKEY_TRACE --------------------------------------------------------------------------------------------------

constexpr const char* variable = "TURNKEY_TRACE";
constexpr std::string_view content = "trace";
constinit char trace_path[4096] = {};
constinit std::int32_t traced_process = 0;

void write_at_end() noexcept {
  if (platform::process_id() != traced_process) return;  // a child after fork(): the file is the parent's
  writing.lock();
  const bool is_written = write_file(trace_path);
  writing.unlock();
  if (!is_written) platform::complain_of_file(variable, trace_path, content);
}

// Whoever is writing may be the one that ends the program, or stand still: it is not waited for for long.
void write_at_fatal_end() noexcept {
  constexpr std::int64_t patience = 1'000'000'000;
  const std::int64_t until = platform::now() + patience;
  while (!writing.try_lock()) {
    if (platform::now() > until) return;
    platform::yield_thread();
  }
  if (!write_file(trace_path)) platform::complain_of_file(variable, trace_path, content);
}

// ---- The public view ------------------------------------------------------------------------------------------------

trace_event::party public_party(party who) noexcept {
  if (who.is_goroutine()) return {.goroutine = who.number()};
  if (who.is_thread()) return {.thread = static_cast<std::int32_t>(who.number())};
  return {};
}

trace_event public_event(const trace_record& r) {
  using kind = trace_event::kind;
  static_assert(static_cast<int>(kind::created) == static_cast<int>(trace_kind::created));
  static_assert(static_cast<int>(kind::marks) == static_cast<int>(trace_kind::marks));
  trace_event event;
  event.what = static_cast<kind>(r.what());
  event.when = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(r.when()));
  event.who = public_party(r.who());
  event.on_thread = r.thread();
  switch (event.what) {
    case kind::created:
      event.name = r.text();
      event.other = public_party(r.whom());
      break;
    case kind::wakes: event.other = public_party(r.whom()); break;
    case kind::waits: event.other = public_party(r.holder()); [[fallthrough]];
    case kind::locks:
    case kind::unlocks:
      event.object = reinterpret_cast<const void*>(r.object());
      event.why = parking::to_string(r.why());
      break;
    case kind::counts: event.value = static_cast<std::int64_t>(r.object()); [[fallthrough]];
    case kind::marks: event.name = r.text(); break;
    case kind::runs:
    case kind::idle:
    case kind::ended:
    case kind::goes_on: break;
  }
  return event;
}

}  // namespace

void trace_lock(const control& who, const void* lock, reason how) noexcept {
  record(trace_kind::locks, party_of(who), word_of(lock), how);
}

void trace_unlock(const control& who, const void* lock, reason how) noexcept {
  record(trace_kind::unlocks, party_of(who), word_of(lock), how);
}

void call_before_waits(void (*look)(const parking::waiter& w) noexcept) noexcept {
  look_before_wait = look;
  set_tracer();
}

void start_trace_as_set() noexcept {
  if (!platform::environment_file(variable, content, trace_path)) return;
  traced_process = platform::process_id();
  begin();
  platform::at_process_end(write_at_end);
  platform::at_fatal_end(write_at_fatal_end);
}

bool start_trace() noexcept {
  if (is_recording()) return true;
  if (runtime::scheduler::is_started()) return false;
  for (const auto* thread = parking::thread_control::all(); thread != nullptr; thread = thread->next()) {
    if (thread != parking::current_control) return false;
  }
  begin();
  return true;
}

bool write_trace(const std::string& path) noexcept {
  writing.lock();
  const bool is_written = write_file(path.c_str());
  writing.unlock();
  return is_written;
}

void mark(std::string_view name) noexcept {
  if (is_recording()) record_text(trace_kind::marks, current_party(), 0, name);
}

void mark(std::string_view name, std::int64_t value) noexcept {
  if (is_recording()) record_text(trace_kind::counts, current_party(), static_cast<std::uint64_t>(value), name);
}

std::vector<trace_event> read_trace() {
  std::vector<trace_event> events;
  if (!is_recording()) return events;
  const platform::tsan_ignore ignore;
  mapped_array<trace_record> records;
  trace_ring::collect(records);
  events.reserve(records.size());
  for (const trace_record& r : records) events.push_back(public_event(r));
  return events;
}

}  // namespace turnkey::diagnostics
