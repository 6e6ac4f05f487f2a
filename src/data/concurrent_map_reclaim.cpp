// Reclamation for turnkey::concurrent_map: readers that announce themselves, lists that wait for them.
//
// There is one epoch for the process, a number that only grows. A pin is a record, on a line of its own, that holds the
// epoch as its owner found it, or 0 while nobody uses it. A list has two parts. What is taken out of a map goes to the
// fresh one. When collect() finds the aging part empty, the fresh ones become the aging ones: the epoch is raised, and
// its new value is their stamp.
//
// Invariant E: a pin that holds stamp or more cannot see any of the aging ones. It read the epoch from the raise or from
//   a later one, and all of them had been taken out before the raise.
// Invariant D: whoever pinned earlier is seen by collect(). The reader writes its record, then reads the map; whoever
//   took the thing out wrote the map, then, in collect(), the records are read. With a full fence between the two steps on
//   both sides, either the reader misses the thing or collect() sees the pin.
// So what was aging may go once no record holds less than its stamp.
//
// The reader's fence is dear and would be paid for by every load. Where the kernel has one for the whole process
// (platform::fence_restartable, which interrupts every thread of it that runs, and so fences it), collect() executes the
// reader's half too, and the reader only keeps the compiler from swapping the two.
//
// A record belongs to a call, not to a thread: the code of the user that runs under a pin - a comparison, a copy - may
// park, and its goroutine may go on on another thread. Each thread keeps one unused record at hand. Who finds none, being
// inside another pin of this thread, takes one from the pool. Records are never freed.
#include <turnkey/concurrent_map_reclaim.hpp>

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "parking/latch.hpp"
#include "platform/raw_lock.hpp"
#include "platform/rseq.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey {

struct alignas(128) map_pin::record {
  std::atomic<std::uint64_t> epoch{0};  // what its user found; 0: unused
  std::size_t number = 0;
  record* next = nullptr;       // in the list of all
  record* next_free = nullptr;  // in the pool
};

namespace {

using record = map_pin::record;

constinit std::atomic<std::uint64_t> current_epoch{1};
constinit std::atomic<record*> all_records{nullptr};  // only grows

// The unused record that this thread keeps at hand, and whether the pool will get it when the thread ends.
[[gnu::tls_model("initial-exec")]] thread_local constinit record* at_hand = nullptr;
[[gnu::tls_model("initial-exec")]] thread_local constinit bool is_watched = false;

struct record_pool {
  platform::raw_lock lock;  // guards the others, and additions to all_records
  record* first = nullptr;
  pthread_key_t at_thread_exit{};
  bool has_key = false;

  record* take() noexcept {
    lock.lock();
    if (!has_key) has_key = pthread_key_create(&at_thread_exit, thread_ends) == 0;
    record* const one = first;
    if (one != nullptr) first = one->next_free;
    lock.unlock();
    if (has_key && !is_watched) is_watched = pthread_setspecific(at_thread_exit, this) == 0;
    return one;
  }
  void give(record& one) noexcept {
    lock.lock();
    one.next_free = first;
    first = &one;
    lock.unlock();
  }
  void announce(record& made) noexcept {
    lock.lock();
    record* const newest = all_records.load(std::memory_order_relaxed);
    made.next = newest;
    made.number = newest != nullptr ? newest->number + 1 : 0;
    // order: release -- pairs with the acquire in oldest_pin(): the record is made before it is found.
    all_records.store(&made, std::memory_order_release);
    lock.unlock();
  }

  // Should a later destructor of the thread use a map, it takes a record again.
  static void thread_ends(void* self) noexcept {
    is_watched = false;
    if (record* const mine = std::exchange(at_hand, nullptr)) static_cast<record_pool*>(self)->give(*mine);
  }
};
constinit record_pool pool;

record& take_from_pool() {
  if (record* const used = pool.take()) return *used;
  auto* const made = new record;
  pool.announce(*made);
  return *made;
}

// The lowest epoch that a pin holds.
std::uint64_t oldest_pin() noexcept {
  std::uint64_t oldest = UINT64_MAX;
  for (const record* each = all_records.load(std::memory_order_acquire); each != nullptr; each = each->next) {
    // order: acquire -- pairs with the release in ~map_pin: what the reader read, it read before it went.
    const std::uint64_t epoch = each->epoch.load(std::memory_order_acquire);
    if (epoch != 0) oldest = std::min(oldest, epoch);
  }
  return oldest;
}

void destroy_chain(map_retired* first, retired_list::destroyer destroy, void* map) noexcept {
  while (first != nullptr) {
    map_retired& thing = *first;
    first = first->next;
    destroy_retired(thing, destroy, map);
  }
}

constexpr std::uint32_t latched = 1;
constexpr std::uint32_t batch = 256;

}  // namespace

// The next two are never inlined, not even by a link-time optimiser: they use thread-locals, and their callers park.

[[gnu::noinline]] map_pin::map_pin() {
  record* mine = at_hand;
  if (mine != nullptr) [[likely]] {
    at_hand = nullptr;
  } else {
    mine = &take_from_pool();
  }
  record_ = mine;
  // order: acquire -- pairs with the raise in begin_aging (invariant E): what was taken out before it is not seen.
  mine->epoch.store(current_epoch.load(std::memory_order_acquire), std::memory_order_relaxed);
  // order: seq_cst, or none but for the compiler -- pairs with collect() (invariant D).
  if (platform::has_rseq.load(std::memory_order_relaxed)) [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
}

[[gnu::noinline]] map_pin::~map_pin() {
  // order: release -- pairs with the acquire in oldest_pin().
  record_->epoch.store(0, std::memory_order_release);
  if (at_hand == nullptr && is_watched) [[likely]] {
    at_hand = record_;
  } else {
    pool.give(*record_);
  }
}

std::size_t map_pin::stripe() const noexcept { return record_->number % stripes; }

bool retired_list::add(map_retired& thing) noexcept {
  parking::latch(latch_, latched);
  thing.next = fresh_;
  fresh_ = &thing;
  const bool is_time = ++fresh_count_ >= threshold_ && !is_collecting_;
  pending_.store(pending_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  // order: release, here and below -- pairs with the acquire of the next one to set the latch.
  latch_.store(0, std::memory_order_release);
  return is_time;
}

bool retired_list::is_full() const noexcept { return pending_.load(std::memory_order_relaxed) >= 2 * batch; }

bool retired_list::is_due() noexcept {
  if (pending_.load(std::memory_order_relaxed) == 0) return false;
  return asked_.fetch_add(1, std::memory_order_relaxed) % batch == 0;
}

// Under the latch, nothing is aging.
void retired_list::begin_aging() noexcept {
  aging_ = std::exchange(fresh_, nullptr);
  fresh_count_ = 0;
  // order: acq_rel -- pairs with the acquire in map_pin (invariant E).
  stamp_ = current_epoch.fetch_add(1, std::memory_order_acq_rel) + 1;
}

void retired_list::collect(destroyer destroy, void* map) noexcept {
  if (pending_.load(std::memory_order_relaxed) == 0) return;
  parking::latch(latch_, latched);
  if (is_collecting_) {
    latch_.store(0, std::memory_order_release);
    return;
  }
  is_collecting_ = true;
  if (aging_ == nullptr) begin_aging();
  latch_.store(0, std::memory_order_release);

  // order: seq_cst -- pairs with map_pin (invariant D); for those whose fence is not one, the second line is it.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  platform::fence_restartable();
  const std::uint64_t oldest = oldest_pin();

  map_retired* gone = nullptr;
  parking::latch(latch_, latched);
  if (stamp_ <= oldest) {
    gone = std::exchange(aging_, nullptr);
    std::uint32_t count = 0;
    for (const map_retired* each = gone; each != nullptr; each = each->next) ++count;
    pending_.store(pending_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
    if (fresh_ != nullptr) begin_aging();
  }
  threshold_ = fresh_count_ + batch;
  is_collecting_ = false;
  latch_.store(0, std::memory_order_release);
  destroy_chain(gone, destroy, map);
}

void retired_list::drain(destroyer destroy, void* map) noexcept {
  destroy_chain(std::exchange(aging_, nullptr), destroy, map);
  destroy_chain(std::exchange(fresh_, nullptr), destroy, map);
}

void destroy_retired(map_retired& thing, retired_list::destroyer destroy, void* map) noexcept {
  const platform::tsan_ignore ignore;
  destroy(thing, map);
}

}  // namespace turnkey
