// turnkey::map_guard: whether somebody writes, how often elements have come or gone, and who was the first to do that since
// somebody began to iterate.
//
//   state_        one word, so that one comparison tells all: three bits that say what goes on, then 29 that count the changes.
//                 An iterator remembers all of it
//                    011   free
//                    000   somebody writes
//                    010   caught: somebody has found a mistake, and everyone who looks is to stop
//                    1xx   somebody has entered or left who must not; or count is 0, and a round is over
//   is_watched_   an iteration has begun since the last change that was recorded. Set by who begins, cleared by who records
//
// Who enters takes `free` from it, who leaves adds that, and one more for a change. That sums up to 0xx for those who may,
// and to 1xx for all others: 011 - 011 = 000 and 000 + 011 = 011, but 000 - 011 = 101 (two write), 011 + 011 = 110 (two have
// written), 010 - 011 = 111 and 010 + 011 = 101 (caught). So to enter and to leave are an addition to memory and a branch on
// its sign each. The count's overflow is 100 as well, 000 + 011 + 1: it ends the round. Readers want no less than 011.
//
// All of it is plain loads and stores, as in Go's map. Of two who enter at once and both see `free` the second to leave finds it
// taken back, unless one's whole write falls between the load and the store of the other's addition. Readers look, and say
// nothing: the one who is in the wrong place may not notice, but the other one does. An iterator notices any change since it
// was made, by whomever, at its next step and before it touches an element that may be gone - unless there were exactly 2^29 of
// them, a whole round of the count, or a multiple of that.
//
// The first to notice reports, and wants to name the other. Who changed something under an iteration is on record. Who is
// writing just now is not, for that would cost each write more than its looks: the reporter writes `caught`, and the other
// one finds that when it is done with its write, or at its next one, and testifies: who it is, and its stack. The reporter
// waits for it, not for long, and writes `caught` again and again, since a writer that has looked already is about to
// overwrite it.
#include <turnkey/map_guard.hpp>

#include <string_view>

#include "parking/control.hpp"
#include "platform/clock.hpp"
#include "platform/cpu.hpp"
#include "platform/futex.hpp"
#include "platform/report.hpp"
#include "platform/thread.hpp"

namespace turnkey {

namespace data {
namespace {

using parking::control;
using platform::text;

// The one report that this process will make. All that it needs is static: nothing is allocated on the way.
constexpr std::uint32_t no_testimony = 0;
constexpr std::uint32_t begun_testimony = 1;
constexpr std::uint32_t given_testimony = 2;
struct report_case {
  std::atomic<std::int32_t> reporter{0};  // the thread that writes it, or 0
  std::atomic<const void*> subject{nullptr};
  std::atomic<const control*> suspect{nullptr};  // whose next write will do for a testimony
  std::atomic<bool> is_anyone_suspect{false};
  std::atomic<std::uint32_t> testimony{no_testimony};
  char buffer[16 << 10] = {};
  text words{buffer, sizeof buffer};
};
constinit report_case the_case;

constinit std::atomic<std::uint32_t> never{0};

[[noreturn]] void wait_for_the_end() noexcept {
  for (;;) platform::futex_wait(never, 0);
}

void describe_self(text& to, std::string_view what) noexcept {
  platform::describe_current(to);
  to << ' ' << what;
}

// True for the first that comes: it is to report. A mistake found by the report itself is left to the fatal path.
bool is_first() noexcept {
  std::int32_t none = 0;
  if (the_case.reporter.compare_exchange_strong(none, platform::thread_id(), std::memory_order_acq_rel)) return true;
  if (none == platform::thread_id()) platform::begin_fatal();
  return false;
}

[[noreturn]] void testify(std::string_view what) noexcept {
  std::uint32_t none = no_testimony;
  if (the_case.testimony.compare_exchange_strong(none, begun_testimony, std::memory_order_relaxed)) {
    describe_self(the_case.words, what);
    the_case.words << '\n';
    the_case.words.stack();
    // order: release -- pairs with await_testimony(): the words.
    the_case.testimony.store(given_testimony, std::memory_order_release);
    platform::futex_wake_all(the_case.testimony);
  }
  wait_for_the_end();
}

bool is_suspect() noexcept {
  return the_case.is_anyone_suspect.load(std::memory_order_relaxed) ||
         the_case.suspect.load(std::memory_order_relaxed) == parking::current_control;
}

void wait_for_subject() noexcept {
  while (the_case.subject.load(std::memory_order_acquire) == nullptr) platform::pause();
}

// One who looks at a map while a report is made has nothing to say.
[[noreturn]] void come_to_look() noexcept {
  wait_for_subject();
  wait_for_the_end();
}

// One who writes may be the other one. Who was inside is; who wanted to enter is if the reporter comes to think so, which it may
// do only after this.
[[noreturn]] void come_to_write(const void* map, bool was_inside) noexcept {
  constexpr std::int64_t interval = 1'000'000;
  wait_for_subject();
  if (the_case.subject.load(std::memory_order_relaxed) != map) wait_for_the_end();
  while (!was_inside && !is_suspect()) platform::futex_wait(never, 0, platform::now() + interval);
  testify("writes to it");
}

text& begin_report(const void* map, std::string_view message, std::string_view what) noexcept {
  text& report = platform::begin_fatal();
  report << "fatal error: " << message << "\n\n";
  describe_self(report, what);
  report << " the map at " << map << '\n';
  report.stack();
  return report;
}

// Notes who changed something, while that can still be told: to write the report, this thread may take over the record of
// one that has ended.
void describe_changer(text& to, const control* who, std::uint32_t token) noexcept {
  if (who == nullptr) return;
  if (who->token() == token) {
    who->describe(to);
  } else {
    to << "one which has ended";
  }
  to << ": has changed it since\n";
}

constexpr std::int64_t long_patience = 1'000'000'000;  // for one that is inside: it may have been preempted
constexpr std::int64_t short_patience = 100'000'000;   // for one that is on record, and may not come again

}  // namespace

// What map_guard's functions do when they fail; it may look into the guard.
struct map_guard_report {
  using state = map_guard_state;

  [[noreturn]] static void of_read(const map_guard& guard) noexcept {
    if (!is_first()) come_to_look();
    of_two(guard, "concurrent map read and map write", "reads", nullptr);
  }

  [[noreturn]] static void of_iteration(const map_guard& guard, map_guard::changes since) noexcept {
    if (!is_first()) come_to_look();
    if (since == map_guard::at_end) {
      of_one(guard, "iterator at the end of a map was used", "uses the end of",
             "there is no element: compare with end() first");
    }
    const bool has_changed = ((seen(guard) ^ since) & ~state::what_goes_on) != 0;
    const control* const me = parking::current_control;
    const control* const changer = guard.changer_.load(std::memory_order_relaxed);
    if (has_changed && me != nullptr && changer == me &&
        guard.changer_token_.load(std::memory_order_relaxed) == me->token()) {
      of_one(guard, "map changed during iteration", "iterates over",
             "an element came or went since this iterator was made; it = m.erase(it) goes on after erasing");
    }
    of_two(guard, "concurrent map iteration and map write", "iterates over", has_changed ? changer : nullptr);
  }

  // `mine`: what the writer has added in vain, and takes back: whether the map is free depends on the other one alone.
  [[noreturn]] static void of_write(const map_guard& guard, state::word mine, bool was_inside) noexcept {
    replace(guard, [mine](state::word seen) { return seen - mine; });
    if (!is_first()) come_to_write(&guard, was_inside);
    of_two(guard, "concurrent map writes", "writes to", nullptr);
  }

 private:
  static map_guard::changes seen(const map_guard& guard) noexcept {
    return std::atomic_ref(guard.state_).load(std::memory_order_relaxed);
  }
  // What the state was.
  template <class F>
  static map_guard::changes replace(const map_guard& guard, F by) noexcept {
    const std::atomic_ref now(guard.state_);
    map_guard::changes before = seen(guard);
    while (!now.compare_exchange_weak(before, by(before), std::memory_order_relaxed)) {
    }
    return before;
  }
  static map_guard::changes catch_writer(const map_guard& guard) noexcept {
    return replace(guard, [](state::word seen) { return (seen & ~state::what_goes_on) | state::caught; });
  }

  // True if the other one has told who it is.
  static bool await_testimony(const map_guard& guard, std::int64_t patience) noexcept {
    constexpr std::int64_t interval = 1'000'000;
    const std::int64_t deadline = platform::now() + patience;
    for (;;) {
      // order: acquire -- pairs with testify().
      const std::uint32_t answer = the_case.testimony.load(std::memory_order_acquire);
      if (answer == given_testimony) return true;
      const std::int64_t now = platform::now();
      if (now > deadline) return false;
      if ((catch_writer(guard) & state::what_goes_on) != state::caught) {
        // Its write is over, and it has not noticed. The next one who writes is the likeliest.
        if (the_case.suspect.load(std::memory_order_relaxed) == nullptr) {
          the_case.is_anyone_suspect.store(true, std::memory_order_relaxed);
        }
      }
      platform::futex_wait(the_case.testimony, answer, now + interval);
    }
  }

  // `suspect`: who is on record; null if it must be somebody who writes just now.
  [[noreturn]] static void of_two(const map_guard& guard, std::string_view message, std::string_view what,
                                  const control* suspect) noexcept {
    the_case.suspect.store(suspect, std::memory_order_relaxed);
    // order: release -- pairs with wait_for_subject(): the suspect.
    the_case.subject.store(&guard, std::memory_order_release);
    // As early as can be: the other one is just leaving.
    const map_guard::changes before = catch_writer(guard);
    if (suspect == nullptr && static_cast<std::int32_t>(before) >= state::least_free)
      the_case.is_anyone_suspect.store(true, std::memory_order_relaxed);
    char buffer[256];
    text changer(buffer, sizeof buffer);
    describe_changer(changer, guard.changer_.load(std::memory_order_relaxed),
                     guard.changer_token_.load(std::memory_order_relaxed));
    text& report = begin_report(&guard, message, what);
    if (await_testimony(guard, suspect == nullptr ? long_patience : short_patience)) {
      report << the_case.words.view();
    } else {
      if (suspect == nullptr) report << "the other one, which writes to it, has not come back\n";
      report << changer.view();
    }
    platform::end_fatal(report);
  }

  [[noreturn]] static void of_one(const map_guard& guard, std::string_view message, std::string_view what,
                                  std::string_view advice) noexcept {
    // order: release -- as above.
    the_case.subject.store(&guard, std::memory_order_release);
    text& report = begin_report(&guard, message, what);
    report << advice << '\n';
    platform::end_fatal(report);
  }
};

}  // namespace data

// Not inlined, as all that ask who they are.
[[gnu::noinline]] void map_guard::note_changer(state::word step) noexcept {
  if (step == state::free) return;  // nothing has changed after all
  parking::control* me = parking::current_control;
  if (me == nullptr) me = &parking::control::current();
  changer_.store(me, std::memory_order_relaxed);
  changer_token_.store(me->token(), std::memory_order_relaxed);
  std::atomic_ref(is_watched_).store(false, std::memory_order_relaxed);
}

[[gnu::noinline, gnu::cold]] void map_guard::leave_slow() noexcept {
  changes left = state::round_is_over;
  if (std::atomic_ref(state_).compare_exchange_strong(left, state::free, std::memory_order_relaxed)) return;
  data::map_guard_report::of_write(*this, state::free, true);
}

[[gnu::noinline, gnu::cold]] void* map_guard::leave_slow_with(void* found) noexcept {
  leave_slow();
  return found;
}

[[gnu::noinline, gnu::cold]] void map_guard::fail_read() const noexcept { data::map_guard_report::of_read(*this); }
[[gnu::noinline, gnu::cold]] void map_guard::fail_iterate(changes since) const noexcept {
  data::map_guard_report::of_iteration(*this, since);
}
[[gnu::noinline, gnu::cold]] void map_guard::fail_write() const noexcept {
  data::map_guard_report::of_write(*this, 0 - state::free, false);
}

}  // namespace turnkey
