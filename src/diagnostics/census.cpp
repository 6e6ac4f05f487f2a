#include "diagnostics/census.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"
#include "platform/thread_stack.hpp"
#include "runtime/goroutine_pool.hpp"
#include "runtime/scheduler.hpp"

namespace turnkey::diagnostics {

namespace {

using runtime::goroutine;
using runtime::scheduler;

// A goroutine that is off the CPU, at one moment.
struct still_life {
  const goroutine* g;
  std::uint64_t id;
  const void* saved;
  wait_state wait;

  explicit still_life(const goroutine& seen) noexcept
      : g(&seen), id(seen.id()), saved(seen.saved_stack()), wait(read_wait(seen)) {}

  static bool is_still(void* raw) noexcept {
    const auto& before = *static_cast<const still_life*>(raw);
    const still_life now(*before.g);
    return now.id == before.id && now.saved == before.saved && now.wait.at == before.wait.at &&
           now.wait.is_parked == before.wait.is_parked && now.wait.since == before.wait.since &&
           before.g->load_status() == goroutine::status::running && scheduler::thread_of(*before.g) == 0;
  }
};

// One look; false if it did not stay the same meanwhile.
bool look_at(const goroutine& g, goroutine_group& seen, goroutine_entry& entry) noexcept {
  still_life life(g);
  entry.id = life.id;
  entry.wait = life.wait;
  seen.frames.count = 0;
  seen.frames.is_complete = true;
  if (g.load_status() == goroutine::status::runnable) {
    seen.what = activity::not_started;
    return g.id() == life.id;
  }
  if (const std::int32_t thread = scheduler::thread_of(g); thread != 0) {
    // A thread that does not answer has the goroutine all the same.
    seen.what = platform::take_frames_of_thread(thread, seen.frames) ? activity::running : activity::silent;
    return scheduler::thread_of(g) == thread && g.id() == life.id;
  }
  seen.what = life.wait.is_parked ? activity::waiting : activity::runnable;
  seen.why = life.wait.is_parked ? life.wait.why : parking::reason{};
  return platform::take_switched_frames(seen.frames, life.saved, g.stack_top(), still_life::is_still, &life);
}

std::uint64_t hash_of(const goroutine_group& seen) noexcept {
  std::uint64_t hash = reinterpret_cast<std::uintptr_t>(seen.site) ^ static_cast<std::uint64_t>(seen.what) << 8 ^
                       static_cast<std::uint64_t>(seen.why);
  for (int i = 0; i < seen.frames.count; ++i) hash = (std::rotl(hash, 5) ^ seen.frames.at[i]) * 0x9e3779b97f4a7c15;
  return hash;
}

bool is_same(const goroutine_group& a, const goroutine_group& b) noexcept {
  return a.hash == b.hash && a.what == b.what && a.why == b.why && a.site == b.site &&
         a.frames.count == b.frames.count && std::equal(a.frames.at, a.frames.at + a.frames.count, b.frames.at);
}

}  // namespace

census::~census() {
  if (memory_ != nullptr) platform::unmap_memory(memory_, bytes_);
}

// As many as there is memory for, up to `wanted`.
bool census::reserve(std::size_t wanted) noexcept {
  constexpr std::size_t least = 16;
  for (capacity_ = std::max(wanted, least); capacity_ >= least; capacity_ /= 2) {
    table_size_ = std::bit_ceil(capacity_ * 2);
    const std::size_t needed =
        capacity_ * (sizeof(goroutine_group) + sizeof(goroutine_entry)) + table_size_ * sizeof *table_;
    bytes_ = (needed + platform::page_size - 1) / platform::page_size * platform::page_size;
    memory_ = static_cast<std::byte*>(platform::map_memory(bytes_, platform::pages::small));
    if (memory_ == nullptr) continue;
    groups_ = reinterpret_cast<goroutine_group*>(memory_);
    entries_ = reinterpret_cast<goroutine_entry*>(groups_ + capacity_);
    table_ = reinterpret_cast<std::uint32_t*>(entries_ + capacity_);
    return true;
  }
  capacity_ = 0;
  return false;
}

std::uint32_t census::group_like(const goroutine_group& seen) noexcept {
  for (std::size_t at = seen.hash % table_size_;; at = (at + 1) % table_size_) {
    if (table_[at] == 0) {
      ::new (&groups_[group_count_]) goroutine_group(seen);
      table_[at] = static_cast<std::uint32_t>(++group_count_);
      return table_[at] - 1;
    }
    goroutine_group& other = groups_[table_[at] - 1];
    if (!is_same(other, seen)) continue;
    if (other.creator != seen.creator) other.has_one_creator = false;
    return table_[at] - 1;
  }
}

bool observe(const goroutine& g, goroutine_group& seen, goroutine_entry& entry) noexcept {
  const platform::tsan_ignore ignore;
  constexpr int most_looks = 3;
  bool is_seen = false;
  for (int i = 0; i < most_looks && !is_seen; ++i) {
    if (g.load_status() == goroutine::status::unused) return false;
    seen.site = g.creation_site();
    seen.creator = g.creator();
    const std::string_view name = g.name();
    std::fill(std::begin(entry.name), std::end(entry.name), '\0');
    // It may be that of another by now, of any length.
    std::copy_n(name.begin(), std::min(name.size(), sizeof entry.name - 1), entry.name);
    is_seen = look_at(g, seen, entry);
  }
  if (!is_seen) {
    if (g.load_status() == goroutine::status::unused) return false;
    seen.what = activity::changing;
    seen.why = {};
    seen.frames.count = 0;
    seen.frames.is_complete = true;
  }
  return true;
}

void census::add(const goroutine& g) noexcept {
  goroutine_group seen;
  goroutine_entry entry;
  if (!observe(g, seen, entry)) return;
  seen.hash = hash_of(seen);
  entry.group = group_like(seen);
  ::new (&entries_[size_++]) goroutine_entry(entry);
}

std::uint32_t census::take(std::uint32_t first) noexcept {
  const platform::tsan_ignore ignore;
  const std::uint32_t count = runtime::goroutine_pool::record_count();
  if (memory_ == nullptr && (first == count || !reserve(count - first))) return first;
  size_ = group_count_ = 0;
  std::fill_n(table_, table_size_, 0U);
  for (; first < count && size_ < capacity_; ++first) add(runtime::goroutine_pool::record(first));
  // Alike ones that are also called the same and wait for the same thing come together.
  std::sort(entries_, entries_ + size_, [](const goroutine_entry& a, const goroutine_entry& b) {
    if (a.group != b.group) return a.group < b.group;
    if (const int order = a.get_name().compare(b.get_name()); order != 0) return order < 0;
    if (a.wait.object != b.wait.object) return std::less<>()(a.wait.object, b.wait.object);
    return a.id < b.id;
  });
  return first;
}

}  // namespace turnkey::diagnostics
