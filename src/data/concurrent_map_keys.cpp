// The locks of keys that are in concurrent_map::update.
//
// A lock is made when somebody wants it, and goes back to its stripe's spares when nobody holds it or waits for it any
// more; `users` counts those. The lists are guarded by the stripe's latch, the locks' turn of phase by their mutex.
//
// Invariant K: while somebody is between take() and release(), its lock is in its stripe's list, so `first` is not null
//   and is_busy() is true. update() then announces this: it changes the version of the key's bucket. A writer reads that
//   version before it asks is_busy(); so it either sees the lock, or read the version too early and fails to lock the
//   bucket.
//
// The list has the older lock before the younger. Several of one hash are there only if one control is in update() of
// several keys with that hash; it releases the youngest first, and everybody else waits for the oldest.
#include <turnkey/concurrent_map_keys.hpp>

#include <memory>
#include <stdexcept>
#include <turnkey/mutex.hpp>
#include <utility>

#include "parking/control.hpp"
#include "parking/latch.hpp"

namespace turnkey {

struct map_key_locks::lock {
  mutex mu;
  std::atomic<parking::control*> owner{nullptr};  // whoever finds itself here put itself here
  const void* key = nullptr;                      // for the owner only
  std::uint64_t hash = 0;
  std::uint32_t users = 0;
  lock* next = nullptr;
};

namespace {

constexpr std::uint32_t latched = 1;

class latch_scope {
 public:
  explicit latch_scope(std::atomic<std::uint32_t>& latch) noexcept : latch_(&latch) { parking::latch(latch, latched); }
  latch_scope(const latch_scope&) = delete;
  latch_scope& operator=(const latch_scope&) = delete;
  // order: release -- pairs with the acquire of the next one to set the latch: the lists.
  ~latch_scope() { latch_->store(0, std::memory_order_release); }

 private:
  std::atomic<std::uint32_t>* latch_;
};

}  // namespace

map_key_locks::~map_key_locks() {
  stripe* const all = stripes_.load(std::memory_order_acquire);
  if (all == nullptr) return;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    while (lock* const spare = all[i].spare) {
      all[i].spare = spare->next;
      delete spare;
    }
  }
  delete[] all;
}

map_key_locks::stripe* map_key_locks::stripes() {
  stripe* all = stripes_.load(std::memory_order_acquire);
  if (all != nullptr) return all;
  auto made = std::make_unique<stripe[]>(stripe_count);
  // order: seq_cst -- release pairs with the acquires of stripes_; and as in append(), for a writer who sees none.
  // acquire -- those that another made first.
  if (stripes_.compare_exchange_strong(all, made.get(), std::memory_order_seq_cst, std::memory_order_acquire)) {
    return made.release();
  }
  return all;
}

bool map_key_locks::has_lock(std::uint64_t hash) const noexcept {
  const stripe* const all = stripes_.load(std::memory_order_acquire);
  // order: seq_cst -- pairs with append(): see there.
  return all[hash % stripe_count].first.load(std::memory_order_seq_cst) != nullptr;
}

const void* map_key_locks::own_key(std::uint64_t hash, std::size_t n) noexcept {
  stripe* const all = stripes_.load(std::memory_order_acquire);
  if (all == nullptr) return nullptr;
  stripe& here = all[hash % stripe_count];
  // What the caller holds has been in the list since it took it, and the caller reads no older list than that.
  if (here.first.load(std::memory_order_relaxed) == nullptr) return nullptr;
  const parking::control* const self = &parking::control::current();
  const latch_scope latched_here(here.latch);
  for (const lock* each = here.first.load(std::memory_order_relaxed); each != nullptr; each = each->next) {
    if (each->hash != hash || each->owner.load(std::memory_order_relaxed) != self || each->key == nullptr) continue;
    if (n-- == 0) return each->key;
  }
  return nullptr;
}

// Under the latch: the lock to wait for - the oldest with this hash, unless the caller holds one of them itself - or null.
map_key_locks::lock* map_key_locks::find(const stripe& here, std::uint64_t hash,
                                         const parking::control& self) noexcept {
  lock* oldest = nullptr;
  for (lock* each = here.first.load(std::memory_order_relaxed); each != nullptr; each = each->next) {
    if (each->hash != hash) continue;
    if (each->owner.load(std::memory_order_relaxed) == &self) return nullptr;
    if (oldest == nullptr) oldest = each;
  }
  return oldest;
}

// Under the latch: makes it the youngest of the list.
void map_key_locks::append(stripe& here, lock& youngest) noexcept {
  youngest.next = nullptr;
  lock* last = here.first.load(std::memory_order_relaxed);
  if (last == nullptr) {
    // order: seq_cst -- pairs with has_lock(), and before it and after us each reads the root: a writer that misses this
    // reads no newer root than we will announce this in.
    here.first.store(&youngest, std::memory_order_seq_cst);
    return;
  }
  while (last->next != nullptr) last = last->next;
  last->next = &youngest;
}

const void* map_key_locks::any_key() noexcept {
  static constexpr char any = 0;
  return &any;
}

// It returns with the key's lock held, and release() is called with it.
[[clang::no_thread_safety_analysis]] map_key_locks::lock* map_key_locks::take(std::uint64_t hash, const void* key,
                                                                              const wait_limit& limit) {
  stripe& here = stripes()[hash % stripe_count];
  parking::control& self = parking::control::current();
  std::unique_ptr<lock> made;
  lock* mine = nullptr;
  for (;; made = std::make_unique<lock>()) {
    const latch_scope latched_here(here.latch);
    mine = find(here, hash, self);
    if (mine == nullptr && (here.spare != nullptr || made != nullptr)) {
      mine = made != nullptr ? made.release() : std::exchange(here.spare, here.spare->next);
      mine->hash = hash;
      append(here, *mine);
    }
    if (mine != nullptr) {
      ++mine->users;
      break;
    }
  }
  if (!mine->mu.lock_within(limit)) {
    leave(here, mine);
    return nullptr;
  }
  mine->owner.store(&self, std::memory_order_relaxed);
  mine->key = key;
  return mine;
}

[[clang::no_thread_safety_analysis]] void map_key_locks::release(lock* which) noexcept {
  stripe& here = stripes_.load(std::memory_order_acquire)[which->hash % stripe_count];
  which->owner.store(nullptr, std::memory_order_relaxed);
  which->mu.unlock();
  leave(here, which);
}

// One of its users less. It neither holds it nor waits for it any more.
void map_key_locks::leave(stripe& here, lock* which) noexcept {
  const latch_scope latched_here(here.latch);
  if (--which->users != 0) return;
  lock* const first = here.first.load(std::memory_order_relaxed);
  if (first == which) {
    here.first.store(which->next, std::memory_order_relaxed);
  } else {
    lock* before = first;
    while (before->next != which) before = before->next;
    before->next = which->next;
  }
  which->next = here.spare;
  here.spare = which;
}

void map_refuse_reentry() {
  throw std::logic_error(
      "turnkey::concurrent_map: what is called while a key is written, such as f in update(k, f), must not write to "
      "it");
}

}  // namespace turnkey
