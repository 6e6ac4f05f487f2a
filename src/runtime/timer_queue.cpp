// The heaps behind timer_queue.hpp.
#include "runtime/timer_queue.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "parking/tracing.hpp"
#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::runtime {

namespace {

// The deadline stands beside the pointer, so that sifting does not touch the waiters' stacks.
struct entry {
  std::int64_t deadline;
  timer* t;
};

struct alignas(64) heap {
  platform::raw_lock lock;
  entry* entries = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  std::atomic<std::int64_t> earliest{platform::no_deadline};

  void put(std::uint32_t place, const entry& e) noexcept {
    entries[place] = e;
    e.t->place = place;
  }
  void sift_up(std::uint32_t place) noexcept {
    const entry moving = entries[place];
    while (place > 0) {
      const std::uint32_t parent = (place - 1) / 4;
      if (entries[parent].deadline <= moving.deadline) break;
      put(place, entries[parent]);
      place = parent;
    }
    put(place, moving);
  }
  void sift_down(std::uint32_t place) noexcept {
    const entry moving = entries[place];
    for (;;) {
      const std::uint32_t first = place * 4 + 1;
      if (first >= size) break;
      std::uint32_t least = first;
      for (std::uint32_t child = first + 1; child < size && child < first + 4; ++child) {
        if (entries[child].deadline < entries[least].deadline) least = child;
      }
      if (entries[least].deadline >= moving.deadline) break;
      put(place, entries[least]);
      place = least;
    }
    put(place, moving);
  }
  void note_earliest() noexcept {
    const std::int64_t least = size == 0 ? platform::no_deadline : entries[0].deadline;
    // order: seq_cst -- pairs with earliest_of() in worker::rest. Its caller says until when it sleeps and then reads this;
    // who starts a timer writes this and then, in scheduler::note_timer, reads until when that worker sleeps. Weaker: both
    // read what was before, and the timer fires too late.
    if (earliest.load(std::memory_order_relaxed) != least) earliest.store(least, std::memory_order_seq_cst);
  }
  bool insert(timer& t) noexcept {
    if (size == capacity && !grow()) return false;
    entries[size] = {t.deadline, &t};
    sift_up(size++);
    note_earliest();
    return true;
  }
  void remove(std::uint32_t place) noexcept {
    entries[place].t->place = timer::no_place;
    --size;
    if (place != size) {
      put(place, entries[size]);
      sift_down(place);
      sift_up(place);
    }
    note_earliest();
  }
  bool grow() noexcept {
    const std::uint32_t wanted = capacity == 0 ? 1024 : capacity * 2;
    void* const memory = platform::map_memory(wanted * sizeof(entry), platform::pages::small);
    if (memory == nullptr) return false;
    auto* const grown = static_cast<entry*>(memory);
    for (std::uint32_t i = 0; i < size; ++i) grown[i] = entries[i];
    if (entries != nullptr) platform::unmap_memory(entries, capacity * sizeof(entry));
    entries = grown;
    capacity = wanted;
    return true;
  }
};

// Fired without letting go of the lock; then others may come in between who start and stop.
constexpr std::uint32_t batch = 128;

constinit std::array<heap, timer_queue::shards> heaps;

}  // namespace

timer_queue::hold::hold(timer& t) noexcept : timer_(t) { heaps[t.shard].lock.lock(); }

timer_queue::hold::~hold() { heaps[timer_.shard].lock.unlock(); }

bool timer_queue::hold::start() noexcept { return heaps[timer_.shard].insert(timer_); }

void timer_queue::hold::cancel() noexcept { heaps[timer_.shard].remove(timer_.place); }

bool timer_queue::start(timer& t) noexcept {
  hold held(t);
  return held.start();
}

bool timer_queue::cancel(timer& t) noexcept {
  hold held(t);
  const bool was_pending = held.is_pending();
  if (was_pending) held.cancel();
  return was_pending;
}

void timer_queue::end_without_room() noexcept { platform::fatal("out of memory: no room for a timer"); }

std::uint32_t timer_queue::fire_shard(std::uint32_t shard, std::int64_t now) noexcept {
  heap& h = heaps[shard];
  if (h.earliest.load(std::memory_order_relaxed) > now) return 0;
  std::uint32_t fired = 0;
  const parking::timer_scope nobody_else;
  h.lock.lock();
  for (; fired < batch && h.size != 0 && h.entries[0].deadline <= now; ++fired) {
    timer& t = *h.entries[0].t;
    h.remove(0);
    const std::int64_t next = t.fire(t, now);
    if (next == platform::no_deadline) continue;  // it may be gone
    t.deadline = next;
    static_cast<void>(h.insert(t));  // there is room: it has just left
  }
  h.lock.unlock();
  return fired;
}

std::uint32_t timer_queue::fire(std::int64_t now) noexcept {
  std::uint32_t fired = 0;
  for (std::uint32_t i = 0; i < shards; ++i) fired += fire_shard(i, now);
  return fired;
}

std::int64_t timer_queue::earliest_of(std::uint32_t shard) noexcept {
  // order: seq_cst -- see heap::note_earliest.
  return heaps[shard].earliest.load(std::memory_order_seq_cst);
}

std::int64_t timer_queue::earliest() noexcept {
  std::int64_t least = platform::no_deadline;
  for (std::uint32_t i = 0; i < shards; ++i) least = std::min(least, earliest_of(i));
  return least;
}

}  // namespace turnkey::runtime
