// Rings of trace records: one writer, its thread; readers at any time, who take nothing from it.
//
// The writer of record n: (head_ is n) each word of slot n % capacity, then head_ = n + 1.
// A reader: head_ is h. Copies the records before h, then looks at head_ again: h'. Record n is as it was written if
// n + capacity > h', since only the record h' may have been begun, in the slot of h' - capacity. What is older was, or was
// about to be, overwritten while it was copied, and does not count.
//
// Rings are never given back. One whose thread has ended is the next new thread's: so there are as many as there were
// threads at one time. What it holds stays until it is overwritten, since each record names its thread.
#include "diagnostics/trace_ring.hpp"

#include <algorithm>
#include <new>

#include "platform/clock.hpp"
#include "platform/thread.hpp"

namespace turnkey::diagnostics {

namespace {

constinit std::uint32_t ring_capacity = 1;
constinit std::atomic<trace_ring*> rings{nullptr};
[[gnu::tls_model("initial-exec")]] constinit thread_local trace_ring* this_ring = nullptr;
// After a fork the child's one thread has another id: its ring is another's, who does not exist here.
[[gnu::tls_model("initial-exec")]] constinit thread_local std::int32_t ring_thread = 0;

}  // namespace

void trace_ring::set_capacity(std::uint32_t records) noexcept { ring_capacity = std::bit_ceil(records); }

std::atomic<std::uint64_t>* trace_ring::slot(std::uint64_t number) const noexcept {
  return slots_ + (number & (capacity_ - 1)) * trace_record::words;
}

trace_ring* trace_ring::make(std::int32_t owner) noexcept {
  const std::size_t bytes = sizeof(trace_record) + ring_capacity * sizeof(trace_record);
  static_assert(sizeof(trace_ring) <= sizeof(trace_record));
  const std::size_t mapped = (bytes + platform::page_size - 1) / platform::page_size * platform::page_size;
  void* const memory = platform::map_memory(mapped, platform::pages::small);
  if (memory == nullptr) return nullptr;
  auto* const made = ::new (memory) trace_ring;
  made->capacity_ = ring_capacity;
  // Zeroed memory is as good as constructed; constructing would touch all of it.
  made->slots_ = reinterpret_cast<std::atomic<std::uint64_t>*>(static_cast<std::byte*>(memory) + sizeof(trace_record));
  made->owner_.store(owner, std::memory_order_relaxed);
  made->next_ = rings.load(std::memory_order_relaxed);
  // order: release -- pairs with collect() and take_over(): the ring is seen built.
  while (!rings.compare_exchange_weak(made->next_, made, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return made;
}

// A thread with our id, and we have no ring: that one has ended, too.
trace_ring* trace_ring::take_over(std::int32_t owner) noexcept {
  for (trace_ring* ring = rings.load(std::memory_order_acquire); ring != nullptr; ring = ring->next_) {
    // order: acquire -- pairs with nothing: its thread has ended, of which the kernel tells.
    std::int32_t before = ring->owner_.load(std::memory_order_acquire);
    if (before != owner && platform::is_thread_there(before)) continue;
    if (ring->owner_.compare_exchange_strong(before, owner, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return ring;
    }
  }
  return nullptr;
}

trace_ring* trace_ring::of_this_thread() noexcept {
  const std::int32_t me = platform::thread_id();
  if (this_ring != nullptr && ring_thread == me) [[likely]]
    return this_ring;
  this_ring = take_over(me);
  if (this_ring == nullptr) this_ring = make(me);
  ring_thread = me;
  return this_ring;
}

void trace_ring::add(trace_kind what, parking::reason why, trace_record& record, std::size_t size) noexcept {
  // No two of a thread have the same time, so that it orders them.
  last_ = std::max(last_ + 1, platform::now());
  record.word[0] = static_cast<std::uint64_t>(last_);
  record.word[1] = static_cast<std::uint64_t>(what) | static_cast<std::uint64_t>(why) << 8 |
                   static_cast<std::uint64_t>(static_cast<std::uint32_t>(ring_thread)) << 32;
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  std::atomic<std::uint64_t>* const words = slot(head);
  // order: release -- pairs with the acquires in copy_to(): who reads one of these sees that head_ has come so far.
  for (std::size_t i = 0; i < size; ++i) words[i].store(record.word[i], std::memory_order_release);
  // order: release -- pairs with copy_to(): the words.
  head_.store(head + 1, std::memory_order_release);
}

// Appends what can be had whole. Returns how many records there have been before that.
std::uint64_t trace_ring::copy_to(mapped_array<trace_record>& to) const noexcept {
  const std::uint64_t head = head_.load(std::memory_order_acquire);
  const std::uint64_t first = head > capacity_ ? head - capacity_ : 0;
  const std::size_t before = to.size();
  if (!to.reserve(before + (head - first))) return head;
  for (std::uint64_t number = first; number < head; ++number) {
    trace_record copy;
    const std::atomic<std::uint64_t>* const words = slot(number);
    // order: acquire -- pairs with add().
    for (std::size_t i = 0; i < trace_record::words; ++i) copy.word[i] = words[i].load(std::memory_order_acquire);
    to.push_back(copy);
  }
  const std::uint64_t now = head_.load(std::memory_order_relaxed);
  const std::uint64_t good = now >= capacity_ ? std::clamp(now - capacity_ + 1, first, head) : first;
  std::copy(to.begin() + before + (good - first), to.end(), to.begin() + before);
  to.resize(to.size() - (good - first));
  return good;
}

trace_ring::collection trace_ring::collect(mapped_array<trace_record>& to) noexcept {
  // What is recorded while the rings are copied is in some and not in others. Up to this time nothing is missing that has had
  // an effect: whoever lets others go on - unlocks, wakes - records that first.
  const std::int64_t complete_until = platform::now();
  std::uint64_t lost = 0;
  // A goroutine's records are in many rings. Before this time some of them may be missing.
  std::int64_t complete_from = INT64_MIN;
  // order: acquire -- pairs with make().
  for (const trace_ring* ring = rings.load(std::memory_order_acquire); ring != nullptr; ring = ring->next_) {
    const std::size_t before = to.size();
    std::uint64_t lost_here = ring->copy_to(to);
    // All of it overwritten while it was copied, since this thread had no CPU.
    for (int retries = 3; retries != 0 && lost_here != 0 && to.size() == before; --retries)
      lost_here = ring->copy_to(to);
    lost += lost_here;
    if (lost_here == 0) continue;
    complete_from = std::max(complete_from, to.size() == before ? platform::now() : to[before].when());
  }
  const platform::tsan_ignore ignore;
  // Of two threads at one time: what lets the other go on comes first.
  const auto is_effect = [](trace_kind what) {
    return what == trace_kind::runs || what == trace_kind::goes_on || what == trace_kind::locks;
  };
  std::sort(to.begin(), to.end(), [&](const trace_record& a, const trace_record& b) {
    return a.when() != b.when() ? a.when() < b.when() : is_effect(a.what()) < is_effect(b.what());
  });
  const auto* const first =
      std::find_if(to.begin(), to.end(), [complete_from](const trace_record& r) { return r.when() >= complete_from; });
  const auto incomplete = static_cast<std::size_t>(first - to.begin());
  std::copy(first, static_cast<const trace_record*>(to.end()), to.begin());
  to.resize(to.size() - incomplete);
  while (to.size() != 0 && to[to.size() - 1].when() > complete_until) to.resize(to.size() - 1);
  return {.lost = lost + incomplete, .until = complete_until};
}

}  // namespace turnkey::diagnostics
