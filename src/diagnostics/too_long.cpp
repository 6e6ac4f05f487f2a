// Two things that take too long, seen by a thread that looks now and then: a lock that is held (TURNKEY_HELD), and a wait for
// whatever it is (TURNKEY_SLOW_WAIT). Each is reported once, while it lasts, with what the one who could end it is doing.
//
// The thread looks at others' records without stopping anybody. A lock or a wait may end at any moment, so nothing is read
// but records, which never go, and what can be read safely; at worst a report comes for what has just ended.
#include "diagnostics/too_long.hpp"

#include <array>
#include <atomic>

#include "diagnostics/dump.hpp"
#include "diagnostics/holdings.hpp"
#include "diagnostics/install.hpp"
#include "diagnostics/names.hpp"
#include "diagnostics/waits.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "platform/thread.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;
using parking::reason;

constexpr std::int64_t shortest_nap = 500'000;
constexpr std::int64_t longest_nap = 100'000'000;
constexpr int looks = 4;  // in the time that is too long

// 0: not wanted. Set before the thread is started.
constinit std::int64_t longest_hold = 0;
constinit std::int64_t longest_wait = 0;
constinit std::atomic<std::int32_t> watching_thread{0};

constinit char buffer[std::size_t{256} << 10] = {};  // of the watching thread

// ---- Locks ----------------------------------------------------------------------------------------------------------

// The first line at once: what follows may take some time to find out, and the program may end before.
void deliver(platform::text& head, const control& who, const control* holder) noexcept {
  platform::write_error((head << '\n').view());
  platform::text out(buffer, sizeof buffer);
  out << '\n';
  write_control(out, who);
  if (holder != nullptr && holder != &who) {
    out << "\nthe holder:\n";
    write_control(out, *holder);
  }
  platform::write_error((out << '\n').view());
}

void report_hold(const holdings& its, const holding& h, std::int64_t held_for) noexcept {
  char line[512];
  platform::text out(line, sizeof line);
  const taking what = h.what.load(std::memory_order_relaxed);
  out << "lock held too long: " << (what.how() == reason::mutex_lock ? "mutex " : "rw_mutex ");
  write_object_name(out, what.lock());
  (out << ", for ").duration(held_for);
  out << " so far, by ";
  its.who().describe(out);
  if (what.how() == reason::rw_mutex_lock_shared) out << ", for reading";
  deliver(out, its.who(), nullptr);
}

void look_at_locks(std::int64_t now) noexcept {
  holdings::for_each([now](const holdings& its) {
    for (std::uint32_t i = 0; i < its.count(); ++i) {
      holding& h = its.at(i);
      const std::int64_t since = h.since.load(std::memory_order_relaxed);
      if (since == 0 || now - since < longest_hold || h.what.load(std::memory_order_relaxed) == taking()) continue;
      if (!h.is_reported.exchange(true, std::memory_order_relaxed)) report_hold(its, h, now - since);
    }
  });
}

// ---- Waits ----------------------------------------------------------------------------------------------------------

// The waits that were reported: who, since when.
struct reported_wait {
  const control* who;
  std::int64_t since;
};
constinit std::array<reported_wait, 1024> reported{};

bool is_news(const wait_state& wait) noexcept {
  reported_wait& place = reported[reinterpret_cast<std::uintptr_t>(wait.who) / 64 % reported.size()];
  if (place.who == wait.who && place.since == wait.since) return false;
  place = {wait.who, wait.since};
  return true;
}

void look_at_wait(const control& who, std::int64_t now) noexcept {
  if (who.waiting() == nullptr || has_ended(who)) return;
  const wait_state wait = read_wait(who);
  // One that sleeps wants nothing else.
  if (!wait.is_parked || wait.why == reason::sleep || wait.since == 0 || now - wait.since < longest_wait) return;
  if (!is_news(wait)) return;
  char line[512];
  platform::text out(line, sizeof line);
  out << "slow wait: ";
  who.describe(out);
  write_reason(out, wait, now - wait.since, now - wait.since);
  write_object(out, wait);
  deliver(out, who, holder_of(wait));
}

// ---- The thread -----------------------------------------------------------------------------------------------------

void watch(void*) noexcept {
  watching_thread.store(platform::thread_id(), std::memory_order_release);
  static constinit std::atomic<std::uint32_t> never{0};
  std::int64_t shortest = longest_hold;
  if (shortest == 0 || (longest_wait != 0 && longest_wait < shortest)) shortest = longest_wait;
  std::int64_t nap = shortest / looks;
  if (nap < shortest_nap) nap = shortest_nap;
  if (nap > longest_nap) nap = longest_nap;
  for (;;) {
    platform::futex_wait(never, 0, platform::now() + nap);
    const std::int64_t now = platform::now();
    if (longest_hold != 0) look_at_locks(now);
    if (longest_wait != 0) for_each_control([now](const control& who) { look_at_wait(who, now); });
  }
}

}  // namespace

bool is_watching_thread(std::int32_t thread) noexcept {
  return watching_thread.load(std::memory_order_acquire) == thread;
}

void watch_for_long(std::int64_t hold, std::int64_t wait) noexcept {
  longest_hold = hold;
  longest_wait = wait;
  if (hold == 0 && wait == 0) return;
  if (!platform::start_thread("turnkey-watch", false, watch, nullptr)) {
    platform::warn("TURNKEY_HELD, TURNKEY_SLOW_WAIT: there is no thread to be had that could watch");
  }
}

}  // namespace turnkey::diagnostics
