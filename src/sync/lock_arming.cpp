// Arming a lock: what others than its holder do before they change its word. See "Calm and armed" in sync/lock_core.hpp.
#include <array>

#include "parking/latch.hpp"
#include "platform/raw_lock.hpp"
#include "platform/rseq.hpp"
#include "sync/lock_core.hpp"

namespace turnkey {

// May have to be repeated.
void lock_protocol::arm(lock_core& lock, const kind& kind) noexcept {
  kind.has_readers() ? arm_spread(lock) : arm_calm(lock);
}

void lock_protocol::arm_calm(lock_core& lock) noexcept {
  static constinit std::array<platform::raw_lock, 16> armers;
  // One armer a lock: who finds `arming` set after the fence has set it itself. Locks may share an armer's lock.
  platform::raw_lock& exclusive = armers[(reinterpret_cast<std::uintptr_t>(&lock) >> 4) % armers.size()];
  parking::latch_backoff backoff;
  exclusive.lock();
  // Not while somebody has the latch of a calm lock: that is an unlock, which ends with a plain store (invariant Z).
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  while ((word & armed) == 0) {
    if ((word & latched) != 0) {
      backoff.wait();
      word = lock.state_.load(std::memory_order_relaxed);
    } else if (lock.state_.compare_exchange_weak(word, word | arming, std::memory_order_seq_cst,
                                                 std::memory_order_relaxed)) {
      platform::fence_restartable();
      word = lock.state_.load(std::memory_order_relaxed);
      while ((word & arming) != 0) {
        if ((word & latched) != 0) {
          backoff.wait();
          word = lock.state_.load(std::memory_order_relaxed);
        } else if (lock.state_.compare_exchange_weak(word, (word & ~arming) | armed, std::memory_order_relaxed,
                                                     std::memory_order_relaxed)) {
          break;
        }
      }
      break;
    }
  }
  exclusive.unlock();
}

// Takes the latch, as anybody but the holder does: of an armed lock. Returns the word as it is now.
std::uint32_t lock_protocol::latch_armed(lock_core& lock, const kind& kind) noexcept {
  parking::latch_backoff backoff;
  for (;;) {
    std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
    if ((word & armed) == 0) {
      arm(lock, kind);
    } else if ((word & latched) != 0) {
      backoff.wait();
      // order: acquire -- pairs with the releases that clear the latch: the queue as its last holder left it.
    } else if (lock.state_.compare_exchange_weak(word, word | latched, std::memory_order_acquire,
                                                 std::memory_order_relaxed)) {
      return word | latched;
    }
  }
}

// The awake one has waited long enough. If somebody has the latch, the caller comes again.
void lock_protocol::reserve(lock_core& lock, const kind& kind) noexcept {
  std::uint32_t word = lock.state_.load(std::memory_order_relaxed);
  while ((word & (reserved | latched)) == 0) {
    if ((word & armed) == 0) {
      arm(lock, kind);
      word = lock.state_.load(std::memory_order_relaxed);
    } else if (lock.state_.compare_exchange_weak(word, word | reserved, std::memory_order_relaxed)) {
      return;
    }
  }
}

}  // namespace turnkey
