// "deadlock: lock cycle": of those that wait for locks, each waits for the next, and the last for the first.
//
// A control that has queued up for a lock without a limit says what it wants (control::want), and then looks along the
// chain: who has that lock, what does that one want, who has that. Both are seq_cst, so of the members of a cycle the last
// one to say what it wants sees what all others want, and finds the cycle before it parks.
//
// Who has a lock for writing, the lock says. Who has one for reading, only the readers know; but only a reader that waits
// itself can be part of a cycle. So those that wait and have locks for reading are listed here. Most waits have nothing to do
// with such a one, and must not pay for it: how many are listed with a lock can be read without a lock (`readings`), and one
// who waits for readers none of whom waits goes no further.
//
//   wants                held by a writer    held by readers                                      neither
//   mutex, or writing    that writer         each listed one that reads it                        nobody: it is being passed on
//   reading              that writer         a writer that wants it, and so each listed one       nobody
//                                            that reads it; which writer is asked at the end
//
// No false alarm. A cycle is looked at twice. What a member wants, with its epoch, is the same both times, so it was blocked
// all the while between, and did not let go of a lock; and each lock was, both times, held by the member that it should be.
// At the moment between the two looks the whole cycle was there, and none of its members can ever end it: a wait with a
// limit is not in it, a lock that was just taken and whose owner is not yet known has none (lock_protocol::owner), and a
// reader that has been let in wants nothing any more (waiter::let_in). A lock that another control than its reader has
// unlocked is left out from then on: nobody knows who reads it.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "diagnostics/dump.hpp"
#include "diagnostics/install.hpp"
#include "diagnostics/names.hpp"
#include "diagnostics/waits.hpp"
#include "parking/hooks.hpp"
#include "platform/clock.hpp"
#include "platform/environment.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "sync/lock_core.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;
using parking::reason;
using parking::waiter;

enum class reaction : std::uint8_t { report, fatal, off };
constinit reaction how = reaction::report;

constexpr std::uint32_t most_listed = 1u << 14;
constexpr std::uint32_t most_steps = 4096;
constexpr std::uint32_t most_foreign = 64;

struct step {
  const control* who;
  control::lock_wait wants;
  std::uint32_t from;  // the step that waits for this one
};

// All of it under `graph`.
constinit platform::raw_lock graph;
constinit std::array<const control*, most_listed> listed{};  // [1, listed_end); null: free
constinit std::array<std::uint32_t, most_listed> free_places{};
constinit std::uint32_t free_count = 0;
constinit std::uint32_t listed_end = 1;
constinit std::array<step, most_steps> steps{};
constinit std::array<const void*, most_foreign> foreign{};  // locks whose readers nobody knows
constinit std::atomic<std::uint32_t> foreign_count{0};

// A table's place for an address; not only its own.
template <class Entry, std::size_t Size>
Entry& place_in(std::array<Entry, Size>& table, const void* address) noexcept {
  const std::uint64_t mixed = reinterpret_cast<std::uintptr_t>(address) * 0x9e3779b97f4a7c15;
  return table[(mixed >> 32) % Size];
}

// How many of the listed ones have a lock with that hash for reading; changed under `graph`.
constinit std::array<std::atomic<std::uint32_t>, 1024> readings{};
std::atomic<std::uint32_t>& readings_of(const void* lock) noexcept { return place_in(readings, lock); }

bool is_foreign(const void* lock) noexcept {
  const std::uint32_t count = foreign_count.load(std::memory_order_relaxed);
  if (count > most_foreign) return true;  // too many to tell
  for (std::uint32_t i = 0; i < count; ++i) {
    if (foreign[i] == lock) return true;
  }
  return false;
}

const lock_core& core_of(const control::lock_wait& wants) noexcept {
  return *static_cast<const lock_core*>(wants.lock);
}

// ---- Who holds what somebody wants ----------------------------------------------------------------------------------

// The one that has it for writing, or null.
const control* writer_of(const control::lock_wait& wants) noexcept {
  const lock_core& lock = core_of(wants);
  if ((lock_protocol::state_of(lock) & lock_protocol::held) == 0) return nullptr;
  const std::uint32_t token = lock_protocol::owner(lock);
  return token == 0 ? nullptr : find_control(token);
}

bool is_held_by_readers(const control::lock_wait& wants) noexcept {
  return lock_protocol::state_of(core_of(wants)) >= lock_protocol::reader;
}

// Whether `other`, which waits, keeps one from the lock that has no writer.
bool keeps_from(const control& other, const control::lock_wait& wants) noexcept {
  if (wants.why != reason::rw_mutex_lock_shared) return other.has_read(wants.lock);
  const control::lock_wait theirs = other.wanted();
  return theirs.lock == wants.lock && theirs.why == reason::rw_mutex_lock;
}

bool is_waiting_for(const step& s, const control& other) noexcept {
  if (s.who->wanted() != s.wants) return false;
  if (const control* const writer = writer_of(s.wants)) return writer == &other;
  return is_held_by_readers(s.wants) && !is_foreign(s.wants.lock) && keeps_from(other, s.wants);
}

// ---- Looking for a cycle --------------------------------------------------------------------------------------------

// Along the writers only, without the list. True: it comes back to the start, or to a lock that has readers who wait.
bool is_worth_a_look(const control& self, control::lock_wait wants) noexcept {
  for (std::uint32_t i = 0; i < most_steps; ++i) {
    const control* const next = writer_of(wants);
    if (next == &self) return true;
    // order: seq_cst -- pairs with list(): of one who says what it wants and then looks here, and one who is listed and then
    // looks who wants what, one sees the other.
    if (next == nullptr) {
      return is_held_by_readers(wants) && readings_of(wants.lock).load(std::memory_order_seq_cst) != 0;
    }
    wants = next->wanted();
    if (wants.lock == nullptr) return false;
  }
  return false;  // a cycle of others
}

// The number of steps of which the last one waits for `self`, the first; 0: there are none. They are linked by `from`.
// The writers that readers wait behind are missing.
std::uint32_t find_cycle(const control& self, const control::lock_wait& wanted) noexcept {
  std::uint32_t end = 0;
  steps[end++] = {&self, wanted, 0};
  for (std::uint32_t i = 0; i < end; ++i) {
    const control::lock_wait wants = steps[i].wants;
    // True: it is the first again.
    const auto visit = [&](const control& next) {
      if (&next == &self) return true;
      for (std::uint32_t j = 0; j < end; ++j) {
        if (steps[j].who == &next) return false;
      }
      const control::lock_wait theirs = next.wanted();
      if (theirs.lock != nullptr && end < most_steps) steps[end++] = {&next, theirs, i};
      return false;
    };
    if (const control* const writer = writer_of(wants)) {
      if (visit(*writer)) return i + 1;
    } else if (is_held_by_readers(wants) && !is_foreign(wants.lock)) {
      // Behind the first one, which is the writer that came last.
      if (i != 0 && wants.why == reason::rw_mutex_lock_shared && keeps_from(self, wants)) return i + 1;
      for (std::uint32_t place = 1; place < listed_end; ++place) {
        if (listed[place] != nullptr && listed[place]->has_read(wants.lock) && visit(*listed[place])) return i + 1;
      }
    }
  }
  return 0;
}

// The members in order, self first, at the front of `steps`; how many.
std::uint32_t put_in_order(std::uint32_t last) noexcept {
  std::uint32_t count = 1;
  for (std::uint32_t i = last; i != 0; i = steps[i].from) ++count;
  // Backwards to the end of the array, then to its front.
  static constinit std::array<step, most_steps> members{};
  std::uint32_t at = count;
  for (std::uint32_t i = last;; i = steps[i].from) {
    members[--at] = steps[i];
    if (i == 0) break;
  }
  for (std::uint32_t i = 0; i < count; ++i) steps[i] = members[i];
  return count;
}

// One that waits for that lock to write, without a limit; null: there is none.
const control* find_waiting_writer(const void* lock) noexcept {
  return find_control_if([lock](const control& who) {
    const control::lock_wait wants = who.wanted();
    return wants.lock == lock && wants.why == reason::rw_mutex_lock;
  });
}

// Puts the writers in that readers wait behind. How many steps there are then; 0: there is no such writer, or no room.
std::uint32_t add_writers(std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    const control::lock_wait wants = steps[i].wants;
    if (wants.why != reason::rw_mutex_lock_shared || writer_of(wants) != nullptr) continue;
    if (keeps_from(*steps[(i + 1) % count].who, wants)) continue;
    const control* const writer = find_waiting_writer(wants.lock);
    if (writer == nullptr || count == most_steps) return 0;
    std::copy_backward(steps.begin() + i + 1, steps.begin() + count, steps.begin() + count + 1);
    steps[++i] = {writer, writer->wanted(), 0};
    ++count;
  }
  return count;
}

bool is_still_so(std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!is_waiting_for(steps[i], *steps[(i + 1) % count].who)) return false;
  }
  return true;
}

// ---- The report -----------------------------------------------------------------------------------------------------

void write_member(platform::text& out, const step& s, const control& holder, std::int64_t now) noexcept {
  s.who->describe(out);
  out << " waits for " << (s.wants.why == reason::mutex_lock ? "mutex " : "rw_mutex ");
  write_object_name(out, s.wants.lock);
  const bool is_behind_writer = s.wants.why == reason::rw_mutex_lock_shared && writer_of(s.wants) == nullptr;
  out << (is_behind_writer ? ", held by readers, behind the waiting writer " : ", held by ");
  holder.describe(out);
  if (&holder == s.who) out << " itself";
  const wait_state wait = read_wait(*s.who);
  if (wait.since != 0 && now > wait.since) {
    (out << ", since ").duration(now - wait.since);
  } else {
    out << ", just now";
  }
  out << '\n';
}

void write_report(platform::text& out, std::uint32_t count) noexcept {
  out << "deadlock: lock cycle\n";
  const std::int64_t now = platform::now();
  for (std::uint32_t i = 0; i < count; ++i) write_member(out, steps[i], *steps[(i + 1) % count].who, now);
  for (std::uint32_t i = 0; i < count; ++i) {
    out << '\n';
    steps[i].who->describe(out);
    out << " [" << parking::to_string(steps[i].wants.why) << "]:\n";
    write_stack(out, *steps[i].who);
  }
}

void report(std::uint32_t count) noexcept {
  if (how == reaction::fatal) {
    platform::text& out = platform::begin_fatal();
    out << "fatal error: ";
    write_report(out, count);
    platform::end_fatal(out);
  }
  static constinit char buffer[std::size_t{256} << 10] = {};
  platform::text out(buffer, sizeof buffer);
  write_report(out, count);
  platform::write_error((out << '\n').view());
}

// ---- Once ------------------------------------------------------------------------------------------------------------

// Two that close a cycle at the same moment both find it. Who has been in a report, in which of its waits; a cycle never ends.
struct reported_wait {
  const control* who;
  std::uint32_t epoch;
};
constinit std::array<reported_wait, most_steps> reported{};  // by a hash of who

bool is_news(std::uint32_t count) noexcept {
  const reported_wait& known = place_in(reported, steps[0].who);
  if (known.who == steps[0].who && known.epoch == steps[0].wants.epoch) return false;
  for (std::uint32_t i = 0; i < count; ++i) place_in(reported, steps[i].who) = {steps[i].who, steps[i].wants.epoch};
  return true;
}

// ---- The hooks ------------------------------------------------------------------------------------------------------

void list(control& who) noexcept {
  std::uint32_t place = 0;
  if (free_count != 0) {
    place = free_places[--free_count];
  } else if (listed_end < most_listed) {
    place = listed_end++;
  }
  who.place() = place;
  if (place == 0) return;
  listed[place] = &who;
  // order: seq_cst -- see is_worth_a_look().
  who.for_each_read([](const void* lock) { readings_of(lock).fetch_add(1, std::memory_order_seq_cst); });
}

void begin(control& who, const waiter& /*w*/) noexcept {
  const bool is_listed = who.has_reads();
  const control::lock_wait wants = who.wanted();
  const auto is_worth_it = [&] { return wants.lock != nullptr && is_worth_a_look(who, wants); };
  if (!is_listed && !is_worth_it()) return;
  graph.lock();
  if (is_listed) list(who);
  const std::uint32_t length = is_worth_it() ? find_cycle(who, wants) : 0;
  if (length != 0) {
    const std::uint32_t count = add_writers(put_in_order(length - 1));
    if (count != 0 && is_still_so(count) && is_news(count)) report(count);
  }
  graph.unlock();
}

void end(control& who) noexcept {
  const std::uint32_t place = who.place();
  if (place == 0) return;
  who.place() = 0;
  graph.lock();
  who.for_each_read([](const void* lock) { readings_of(lock).fetch_sub(1, std::memory_order_relaxed); });
  listed[place] = nullptr;
  free_places[free_count++] = place;
  graph.unlock();
}

constexpr parking::lock_wait_observer observer{begin, end};

void note_foreign_unlock(const void* lock) noexcept {
  graph.lock();
  const std::uint32_t count = foreign_count.load(std::memory_order_relaxed);
  if (!is_foreign(lock)) {
    if (count < most_foreign) foreign[count] = lock;
    foreign_count.store(count + 1, std::memory_order_relaxed);
  }
  graph.unlock();
}

}  // namespace

void watch_for_lock_cycles() noexcept {
  how = static_cast<reaction>(platform::environment_choice("TURNKEY_DEADLOCK", {"report", "fatal", "off"}, 0));
  if (how == reaction::off) return;
  parking::on_foreign_unlock.store(note_foreign_unlock, std::memory_order_release);
  // order: release -- pairs with lock_wait_scope: how it is to be reported.
  parking::lock_waits.store(&observer, std::memory_order_release);
}

}  // namespace turnkey::diagnostics
