// The heaps behind timer_queue.hpp.
#include "runtime/timer_queue.hpp"

#include <algorithm>
#include <array>
#include <atomic>

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
    earliest.store(size == 0 ? platform::no_deadline : entries[0].deadline, std::memory_order_release);
  }
  void insert(timer& t) noexcept {
    if (size == capacity) grow();
    entries[size] = {t.deadline, &t};
    sift_up(size++);
    note_earliest();
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
  void grow() noexcept {
    const std::uint32_t wanted = capacity == 0 ? 1024 : capacity * 2;
    void* const memory = platform::map_memory(wanted * sizeof(entry), platform::pages::small);
    if (memory == nullptr) platform::fatal("out of memory: no room for a timer");
    auto* const grown = static_cast<entry*>(memory);
    for (std::uint32_t i = 0; i < size; ++i) grown[i] = entries[i];
    if (entries != nullptr) platform::unmap_memory(entries, capacity * sizeof(entry));
    entries = grown;
    capacity = wanted;
  }
};

constinit std::array<heap, timer_queue::shards> heaps;

}  // namespace

void timer_queue::start(timer& t, std::uint32_t hint) noexcept {
  t.shard = hint % shards;
  heap& h = heaps[t.shard];
  h.lock.lock();
  h.insert(t);
  h.lock.unlock();
}

void timer_queue::cancel(timer& t) noexcept {
  heap& h = heaps[t.shard];
  h.lock.lock();
  if (t.place != timer::no_place) h.remove(t.place);
  h.lock.unlock();
}

std::uint32_t timer_queue::fire_shard(std::uint32_t shard, std::int64_t now) noexcept {
  heap& h = heaps[shard];
  if (h.earliest.load(std::memory_order_relaxed) > now) return 0;
  std::uint32_t fired = 0;
  h.lock.lock();
  while (h.size != 0 && h.entries[0].deadline <= now) {
    timer* const t = h.entries[0].t;
    h.remove(0);
    t->w->alarm();
    ++fired;
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
  return heaps[shard].earliest.load(std::memory_order_acquire);
}

std::int64_t timer_queue::earliest() noexcept {
  std::int64_t least = platform::no_deadline;
  for (std::uint32_t i = 0; i < shards; ++i) least = std::min(least, earliest_of(i));
  return least;
}

}  // namespace turnkey::runtime
