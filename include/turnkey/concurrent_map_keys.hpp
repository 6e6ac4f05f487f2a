// turnkey/concurrent_map_keys.hpp -- the locks of keys that are in concurrent_map::update. Not for direct use.
//
// A key has a lock only while somebody holds it or waits for it. The lock is a turnkey::mutex, so whoever waits parks,
// and reports show it. Two keys with the same 64-bit hash share a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class control;
}

// The lists of the locks that there are, by the hash of the key, in stripes so that keys rarely meet.
class map_key_locks {
 public:
  struct lock;

  // Holds a key's lock.
  class hold {
   public:
    hold(map_key_locks& locks, lock* which) noexcept : locks_(&locks), which_(which) {}
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    ~hold() { locks_->release(which_); }

   private:
    map_key_locks* locks_;
    lock* which_;
  };

  constexpr map_key_locks() noexcept = default;
  map_key_locks(const map_key_locks&) = delete;
  map_key_locks& operator=(const map_key_locks&) = delete;
  ~map_key_locks();

  // False only if nobody held the lock of a key with this hash at some moment since the caller read the state of the key's
  // bucket, or somebody has announced there since then that they do (invariant K).
  [[nodiscard]] bool is_busy(std::uint64_t hash) const noexcept {
    // order: seq_cst -- pairs with stripes(): as in append().
    return stripes_.load(std::memory_order_seq_cst) != nullptr && has_lock(hash);
  }
  // The key of the n-th lock with this hash that the caller itself holds and gave a key, or null.
  [[nodiscard]] const void* own_key(std::uint64_t hash, std::size_t n) noexcept;
  // Waits for the lock of a key with this hash, and takes it; null if that was not had within the limit. `key`, what own_key()
  // will tell, lives as long as the hold, or is null, or any_key(): all that have this hash. One that the caller holds already
  // (for another key) is not waited for. May throw std::bad_alloc.
  [[nodiscard]] lock* take(std::uint64_t hash, const void* key, const wait_limit& limit = wait_limit());
  static const void* any_key() noexcept;

 private:
  static constexpr std::size_t stripe_count = 32;
  struct alignas(64) stripe {
    std::atomic<std::uint32_t> latch{0};  // guards the lists; never held while anything waits or the user's code runs
    std::atomic<lock*> first{nullptr};    // held or waited for
    lock* spare = nullptr;
  };

  stripe* stripes();
  [[nodiscard]] bool has_lock(std::uint64_t hash) const noexcept;
  static lock* find(const stripe& here, std::uint64_t hash, const parking::control& self) noexcept;
  static void append(stripe& here, lock& youngest) noexcept;
  static void leave(stripe& here, lock* which) noexcept;
  void release(lock* which) noexcept;

  std::atomic<stripe*> stripes_{nullptr};  // made by the first take()
};

// Throws: the code of the user that a write has called came back and would write to the same key.
[[noreturn]] void map_refuse_reentry();

}  // namespace turnkey
