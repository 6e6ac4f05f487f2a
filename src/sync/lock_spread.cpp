// When the readers of an rw_mutex are counted on each CPU for itself. See "Spread and armed" in sync/lock_core.hpp.
//
// When to spread. A lock that is spread must be armed before it is written to, and meanwhile all who want it wait: some tens
//   of microseconds in all. It pays for a lock that then remains spread for a while, and nobody knows that beforehand. So
//   after it was armed a lock has a rest, in which it is not spread: a short one if it had been spread for long, and else
//   twice the one before, up to a second. A lock that is written again and again is spread once in a second in the end.
//   Where a lock has its rest is found by its address; locks that meet there share it.
#include "sync/lock_spread.hpp"

#include <algorithm>
#include <array>

#include "parking/latch.hpp"
#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "platform/rseq.hpp"
#include "sync/lock_core.hpp"
#include "sync/reader_cells.hpp"

namespace turnkey {

constinit spread_policy spreading;

namespace {

constexpr std::int64_t long_enough = 2'000'000;
constexpr std::int64_t longest_rest = 1'000'000'000;

// Hints: what one thread has just written may be lost to another's.
struct rest {
  std::atomic<std::int64_t> since{0};  // when the lock was last spread
  std::atomic<std::int64_t> until{0};
  std::atomic<std::int64_t> length{0};
};
constinit std::array<rest, 256> rests;

rest& rest_of(const lock_core& lock) noexcept {
  const std::uint64_t mixed = (reinterpret_cast<std::uintptr_t>(&lock) >> 3) * 0x9e37'79b9'7f4a'7c15;
  return rests[mixed >> 56];
}

void note_armed(const lock_core& lock) noexcept {
  rest& its = rest_of(lock);
  const std::int64_t now = platform::now();
  const std::int64_t shortest = spreading.shortest_rest.load(std::memory_order_relaxed);
  const bool has_paid = now - its.since.load(std::memory_order_relaxed) > long_enough;
  const std::int64_t doubled = std::min(its.length.load(std::memory_order_relaxed) * 2, longest_rest);
  const std::int64_t length = has_paid || shortest == 0 ? shortest : std::max(doubled, shortest);
  its.length.store(length, std::memory_order_relaxed);
  its.until.store(now + length, std::memory_order_relaxed);
}

}  // namespace

[[gnu::noinline]] void lock_protocol::spread(lock_core& lock) noexcept {
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  if ((word & all_flags) != armed || !platform::has_rseq.load(std::memory_order_relaxed)) return;
  rest& its = rest_of(lock);
  const std::int64_t now = platform::now();
  if (now < its.until.load(std::memory_order_relaxed)) return;
  // order: acquire -- pairs with the releases that clear the latch: queue_.
  if (!lock.state_.compare_exchange_strong(word, word | latched, std::memory_order_acquire, std::memory_order_relaxed))
    return;
  std::uint32_t* const cells = reader_cells::take();
  if (cells != nullptr) {
    its.since.store(now, std::memory_order_relaxed);
    lock.queue_ = reinterpret_cast<parking::waiter*>(cells);
    word = lock.state_.load(std::memory_order_relaxed);
    while ((word & all_flags) == (armed | latched)) {
      // order: release -- pairs with the acquiring load in restartable_add: queue_, and that the cells are 0.
      if (lock.state_.compare_exchange_weak(word, word & ~all_flags, std::memory_order_release,
                                            std::memory_order_relaxed)) {
        return;
      }
    }
    lock.queue_ = nullptr;
    reader_cells::sum_and_give_back(cells);
  }
  // order: release -- pairs with the acquires that take the latch.
  lock.state_.fetch_and(~latched, std::memory_order_release);
}

// Who sets `arming` is the armer: nobody else changes the word until it is armed (invariant S). It takes no lock for that,
// so all others wait by giving up their CPU, and go on as soon as it has done; goroutines among them, for it is soon.
void lock_protocol::arm_spread(lock_core& lock) noexcept {
  parking::latch_backoff backoff;
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  do {
    while ((word & arming) != 0) {
      backoff.wait();
      word = lock.state_.load(std::memory_order_relaxed);
    }
    if ((word & armed) != 0) return;
    // order: seq_cst -- the fence that follows.
  } while (
      !lock.state_.compare_exchange_weak(word, word | arming, std::memory_order_seq_cst, std::memory_order_relaxed));
  platform::fence_restartable();

  // The cells stand still, and so does the word.
  const std::uint32_t readers =
      word / reader + reader_cells::sum_and_give_back(reinterpret_cast<std::uint32_t*>(lock.queue_));
  const bool is_possible = readers <= most_readers;
  lock.queue_ = nullptr;
  note_armed(lock);
  // order: release -- pairs with the acquires that take the latch, and of lock: queue_, and what the readers did.
  lock.state_.store(armed + (is_possible ? readers * reader : 0), std::memory_order_release);
  // Whoever did it is not known any more.
  if (!is_possible) platform::fatal("sync: RUnlock of unlocked RWMutex");
}

}  // namespace turnkey
