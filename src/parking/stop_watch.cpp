// The handshake between a stop request and a wait; see turnkey/wait_limit.hpp and parking/stop_watch.hpp.
//
//   waiter_      who sets it
//   0            the constructor, stop_watch_access::leave      nobody waits
//   a pointer    stop_watch_access::enter, by the waiter        raise() is to alarm it
//   raising      raise()                                        a stop was requested; the waiter is being alarmed
//   raised       raise()                                        and nothing of it is touched any more
//
// raise() runs at most once. The waiter stays until raise() is through with it: leave() waits while it reads `raising`.
#include "parking/stop_watch.hpp"

#include <array>

#include "parking/latch.hpp"

namespace turnkey {

namespace {
constexpr std::uintptr_t raising = 1;
constexpr std::uintptr_t raised = 2;

// See release_raised_stops(): addresses that stand for watches, and which of them this thread has raised.
constinit std::array<char, 64> edges{};
[[gnu::tls_model("initial-exec")]] thread_local constinit std::uint64_t raised_here = 0;
std::size_t edge_of(const stop_watch& watch) noexcept {
  return (reinterpret_cast<std::uintptr_t>(&watch) >> 4) % edges.size();
}
}  // namespace

// Before callback_ goes: see release_raised_stops(). Not in leave(): a wait whose predicate holds at once never enters. The
// destructor itself is in the header, as the callback's must be.
void stop_watch::order_raise() const noexcept { platform::tsan_acquire(&edges[edge_of(*this)]); }

bool stop_watch::is_raised() const noexcept {
  const std::uintptr_t word = waiter_.load(std::memory_order_acquire);
  return word == raising || word == raised;
}

void stop_watch::raise() noexcept {
  // order: acq_rel -- acquire pairs with enter(): the waiter is seen as it was built.
  const std::uintptr_t before = waiter_.exchange(raising, std::memory_order_acq_rel);
  if (platform::is_tsan) raised_here |= std::uint64_t{1} << edge_of(*this);
  if (before != 0) reinterpret_cast<parking::waiter*>(before)->alarm();
  // order: release -- pairs with leave(): the waiter may go once it reads this.
  waiter_.store(raised, std::memory_order_release);
}

bool stop_watch_access::enter(stop_watch& watch, parking::waiter& waiter) noexcept {
  std::uintptr_t nobody = 0;
  return watch.waiter_.compare_exchange_strong(nobody, reinterpret_cast<std::uintptr_t>(&waiter),
                                               std::memory_order_acq_rel, std::memory_order_acquire);
}

void stop_watch_access::leave(stop_watch& watch) noexcept {
  std::uintptr_t word = watch.waiter_.load(std::memory_order_acquire);
  if (word > raised &&
      watch.waiter_.compare_exchange_strong(word, 0, std::memory_order_acq_rel, std::memory_order_acquire)) {
    return;
  }
  parking::latch_backoff backoff;
  while (watch.waiter_.load(std::memory_order_acquire) == raising) backoff.wait();
}

void release_raised_stops() noexcept {
  for (std::size_t i = 0; raised_here != 0; ++i) {
    if ((raised_here >> i & 1) != 0) platform::tsan_release(&edges[i]);
    raised_here &= ~(std::uint64_t{1} << i);
  }
}

}  // namespace turnkey
