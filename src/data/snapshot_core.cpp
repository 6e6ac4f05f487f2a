// turnkey::snapshot: reference counts that are spread over threads while a version is current, and one word afterwards.
//
// A version has a number, its id, for as long as it lives. Under that number are
//   an entry (below), which all threads share: `total`, where to find the version, and whether its cells may be opened;
//   in each OS thread's block of cells, a cell: bit 0 `open`, bits 31..1 how many references were taken less how many were
//     given back on this thread, modulo 2^31. Only this thread counts here, and only while the cell is open.
// The number of references is, at any time, total + the sum of the cells, less `bias` while the version is current.
//
//   cell     total             the version
//   closed   0                 does not exist: the id is free
//   closed   bias + n          current; this thread has not met it, or could not open the cell
//   open     bias + n          current; this thread takes and gives back references here
//   either   bias + n          replaced; whoever replaced it is closing the cells (retire)
//   closed   n > 0             replaced; references are counted in total only, and who brings it to 0 destroys the version
//
// A cell is opened by its own thread, while is_current, under the lock; closed by retire(), once is_current is false.
//
// Invariant C: a cell that its thread finds open, and counts in, is counted by retire(). For retire() closes it by a
//   compare-and-swap, and then sees in it all that was counted before; and to count in a closed cell fails. Where counting
//   is a restartable store, which may wipe out the closing that it did not see, retire() calls fence_restartable(), after
//   which all that had compared before have stored or will fail, and looks again: a cell that is closed then stays closed,
//   one that is open has had its closing wiped out and is closed again, before another fence. The owner cannot open it.
// Invariant L: total > 0 as long as there is a reference or the version is current, since bias is taken away only after
//   all cells are closed, in the same step that adds them up. So it becomes 0 once, and nobody has a reference then.
//
// Why acquire() needs no second look at current_. It reads an id and counts in its cell, without touching the version. If
//   the cell is open, it was open before current_ was read: nobody but this thread opens it. So the id has belonged to one
//   version V for all that time (all cells of a free id are closed). When this thread opened the cell it saw V's entry, and
//   with it all that happened before the id was given to V; so an id that it read from current_ afterwards was not left
//   over from an earlier owner of that number: V was current at that moment. By C and L it stays alive.
// If the cell is closed, the id may be anybody's by now. acquire_shared() counts in total, unless that is 0, which keeps
//   whoever has the id alive; and then looks at current_ again: if it is still the same, that is the right one.
//
// Why load() never blocks: nothing here waits. The lock is only tried; who does not get it counts in total this once.
// acquire() starts again only if a writer came between, or the kernel interrupted it.
#include <turnkey/snapshot_core.hpp>

#include <new>

#include "data/thread_cells.hpp"
#include "platform/id_pool.hpp"
#include "platform/raw_lock.hpp"
#include "platform/rseq.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey {

using data::thread_cells;

namespace {

using cell = std::atomic<std::uint32_t>;
constexpr std::uint32_t open = 1;
constexpr std::uint32_t one = 2;
constexpr std::int64_t bias = std::int64_t{1} << 40;

struct entry {
  std::atomic<std::int64_t> total{0};
  std::atomic<snapshot_version*> version{nullptr};
  std::atomic<bool> is_current{false};  // changed under the lock
};

// Static: LeakSanitizer finds the versions here.
constinit platform::zeroed_array<entry, thread_cells::versions> entries;
constinit platform::id_pool<thread_cells::versions> ids;
constinit platform::raw_lock
    cells_lock;  // held for a few instructions, to open a cell or to say that none may be opened

// Counts in this thread's cell: true, or false if it is closed.
inline bool count(cell& mine, std::uint32_t change) noexcept {
  const bool is_restartable = platform::has_rseq.load(std::memory_order_relaxed);
  std::uint32_t word = mine.load(std::memory_order_relaxed);
  while ((word & open) != 0) {
    if (is_restartable) [[likely]] {
      // order: release -- pairs with the acquires in retire(): what was done with the version before it is destroyed.
      if (platform::restartable_store(mine, word, word + change)) [[likely]]
        return true;
      word = mine.load(std::memory_order_relaxed);
    } else if (mine.compare_exchange_weak(word, word + change, std::memory_order_release, std::memory_order_relaxed)) {
      return true;  // order: release -- as above
    }
  }
  return false;
}

// Lets this thread count in its own cell from now on, if the id's version is current and the lock is to be had.
void open_cell(std::uint32_t id) noexcept {
  thread_cells* const block = data::cells_of_this_thread();
  if (block == nullptr || !cells_lock.try_lock()) return;
  cell& mine = block->references[id];
  // Its thread alone changes a closed cell.
  if (entries[id].is_current.load(std::memory_order_relaxed)) {
    mine.store(mine.load(std::memory_order_relaxed) | open, std::memory_order_relaxed);
  }
  cells_lock.unlock();
}

// Closes the id's cell in every block: true if any was open.
bool close_cells(std::uint32_t id) noexcept {
  bool was_open = false;
  for (thread_cells* block = thread_cells::all(); block != nullptr; block = block->next) {
    cell& each = block->references[id];
    std::uint32_t word = each.load(std::memory_order_relaxed);
    while ((word & open) != 0) {
      was_open = true;
      // order: acquire -- pairs with the releases in count().
      if (each.compare_exchange_weak(word, word & ~open, std::memory_order_acquire, std::memory_order_relaxed)) break;
    }
  }
  return was_open;
}

// What was counted in the id's cells, all of them closed; and leaves them at 0.
std::int64_t collect_cells(std::uint32_t id) noexcept {
  std::uint32_t sum = 0;
  for (thread_cells* block = thread_cells::all(); block != nullptr; block = block->next) {
    cell& each = block->references[id];
    // order: acquire -- pairs with the releases in count().
    const std::uint32_t word = each.load(std::memory_order_acquire);
    if (word != 0) each.store(0, std::memory_order_relaxed);
    sum += word;
  }
  return static_cast<std::int32_t>(sum) / std::int64_t{one};
}

// The addresses by which TSan knows the two edges of a version: from its publication to who loads it, and from those who
// let go of it to its destruction. They must differ, or readers would be ordered among each other.
void* publication_of(const snapshot_version* version) noexcept { return const_cast<snapshot_version*>(version); }
void* end_of(const snapshot_version* version) noexcept {
  static_assert(sizeof(snapshot_version) > sizeof(void*));
  return static_cast<char*>(publication_of(version)) + sizeof(void*);
}

}  // namespace

// Not inlined, as all that look for this thread's cells: a caller's park may change the thread.
[[gnu::noinline]] snapshot_version* snapshot_core::acquire() const noexcept {
  snapshot_version* version = nullptr;
  // order: acquire -- pairs with the release in publish(): the version and its entry.
  const std::uint32_t id = current_.load(std::memory_order_acquire);
  thread_cells* const block = data::current_cells;
  if (block != nullptr && count(block->references[id], one)) [[likely]] {
    version = entries[id].version.load(std::memory_order_relaxed);
  } else {
    version = acquire_shared();
  }
  platform::tsan_acquire(publication_of(version));
  return version;
}

[[gnu::noinline]] snapshot_version* snapshot_core::acquire_shared() const noexcept {
  for (;;) {
    const std::uint32_t id = current_.load(std::memory_order_acquire);
    entry& it = entries[id];
    std::int64_t total = it.total.load(std::memory_order_relaxed);
    // order: acquire -- pairs with the release in publish(): all that was before the id's owner got it, so that what
    // current_ says next is not older.
    while (total != 0 &&
           !it.total.compare_exchange_weak(total, total + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
    }
    if (total == 0) continue;
    if (current_.load(std::memory_order_acquire) == id) {
      open_cell(id);
      return it.version.load(std::memory_order_relaxed);
    }
    release_shared(id);
  }
}

[[gnu::noinline]] void snapshot_core::retain(const snapshot_version* version) noexcept {
  const std::uint32_t id = version->id_;
  thread_cells* const block = data::current_cells;
  if (block != nullptr && count(block->references[id], one)) [[likely]]
    return;
  entries[id].total.fetch_add(1, std::memory_order_relaxed);
}

[[gnu::noinline]] void snapshot_core::release(const snapshot_version* version) noexcept {
  const std::uint32_t id = version->id_;
  platform::tsan_release(end_of(version));
  thread_cells* const block = data::current_cells;
  if (block != nullptr && count(block->references[id], 0U - one)) [[likely]]
    return;
  if (entries[id].is_current.load(std::memory_order_relaxed)) open_cell(id);  // for the next time
  release_shared(id);
}

// The last access to the id's entry, unless this was the last reference.
void snapshot_core::release_shared(std::uint32_t id) noexcept {
  // order: release -- pairs with the acquires here and in retire(): what was done with the version. acquire -- the same,
  // seen from the one that destroys it.
  if (entries[id].total.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(id);
}

std::uint32_t snapshot_core::publish(snapshot_version* next) {
  const std::uint32_t id = ids.take();
  if (id == 0) throw std::bad_alloc();
  next->id_ = id;
  entry& it = entries[id];
  it.version.store(next, std::memory_order_relaxed);
  cells_lock.lock();
  it.is_current.store(true, std::memory_order_relaxed);
  cells_lock.unlock();
  platform::tsan_release(publication_of(next));
  // order: release -- pairs with the acquire in acquire_shared().
  it.total.store(bias, std::memory_order_release);
  // order: release -- pairs with the acquires of current_: the version and its entry. acquire -- the entry of the version
  // before, if another thread published it.
  return current_.exchange(id, std::memory_order_acq_rel);
}

snapshot_core::~snapshot_core() {
  // order: acquire -- the entry, if another thread published it.
  retire(current_.load(std::memory_order_acquire));
}

void snapshot_core::retire(std::uint32_t id) noexcept {
  if (id == 0) return;
  entry& it = entries[id];
  cells_lock.lock();
  it.is_current.store(false, std::memory_order_relaxed);
  cells_lock.unlock();
  // By Invariant C. A block that is made later has its cell closed.
  while (close_cells(id)) platform::fence_restartable();
  const std::int64_t change = collect_cells(id) - bias;
  // order: acq_rel -- as in release_shared().
  if (it.total.fetch_add(change, std::memory_order_acq_rel) + change == 0) destroy(id);
}

void snapshot_core::destroy(std::uint32_t id) noexcept {
  snapshot_version* const version = entries[id].version.exchange(nullptr, std::memory_order_relaxed);
  platform::tsan_acquire(end_of(version));
  version->destroy_(version);
  ids.give(id);
}

}  // namespace turnkey
