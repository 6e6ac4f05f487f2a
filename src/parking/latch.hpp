// The latch that guards a primitive's wait queue: one bit of its state word, held for a few instructions. With the latch
// in the state word a primitive lets go of the queue and changes its state in one store, its last access to itself.
#pragma once

#include <atomic>

#include "platform/cpu.hpp"
#include "platform/thread.hpp"

namespace turnkey::parking {

// Waits between attempts to set the bit: its holder may have been preempted, so give it the CPU.
class latch_backoff {
 public:
  void wait() noexcept {
    if (++rounds_ <= 16) {
      platform::pause(4);
    } else {
      platform::yield_thread();
    }
  }

 private:
  int rounds_ = 0;
};

// The rest of latch(), out of line.
template <class Word>
[[gnu::noinline]] Word latch_slowly(std::atomic<Word>& word, Word bit) noexcept {
  latch_backoff backoff;
  for (;;) {
    Word seen = word.load(std::memory_order_relaxed);
    if ((seen & bit) != 0) {
      backoff.wait();
      // order: acquire -- pairs with the release that cleared the bit: the queue as its last holder left it.
    } else if (word.compare_exchange_weak(seen, seen | bit, std::memory_order_acquire, std::memory_order_relaxed)) {
      return seen | bit;
    }
  }
}

// One attempt. 0: it failed.
template <class Word>
Word try_latch(std::atomic<Word>& word, Word bit) noexcept {
  Word seen = word.load(std::memory_order_relaxed);
  // order: acquire -- as in latch_slowly().
  const bool is_latched = (seen & bit) == 0 && word.compare_exchange_strong(seen, seen | bit, std::memory_order_acquire,
                                                                            std::memory_order_relaxed);
  return is_latched ? seen | bit : 0;
}

// Sets `bit` of `word`, which it waits for to be clear, and returns the word as it is now.
template <class Word>
Word latch(std::atomic<Word>& word, Word bit) noexcept {
  const Word latched = try_latch(word, bit);
  return latched != 0 ? latched : latch_slowly(word, bit);
}

}  // namespace turnkey::parking
