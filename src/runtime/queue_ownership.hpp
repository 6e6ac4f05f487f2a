// Who takes goroutines from a worker's queue: its owner at each switch, and thieves now and then.
//
// Both take by changing a word - the ring's head, or next_ - so they must not do it at once. A read-modify-write each would do,
// and would be what a switch spends most of its time on. So while no thief is about, the owner changes such a word by a restartable
// sequence, "if there are no thieves and the word is what it was, store". A thief announces itself first, has the kernel restart
// every sequence that may have looked before (10 to 20 us), and until it goes both use read-modify-writes.
//
// Invariant T: while a thief changes a word, thieves_ is not 0, and no sequence that has seen it 0 is about to store.
//   Sequences that had looked before the announcement have stored when the fence is over, and the thief sees what; or they were
//   restarted, and look again. An owner that is in blocking() has begun none since it said so, and begins none before it has
//   said that it is back; so while it is away a thief needs no fence: either the thief sees it come back, or the owner sees the
//   thief (both are a store, a full barrier, and a load of the other's word).
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/rseq.hpp"

namespace turnkey::runtime {

class queue_ownership {
 public:
  // Owner only: changes word from `expected` to `desired`. If it returns false, `expected` is what the word is now; it may also
  // fail for no reason.
  template <class T>
  bool change(std::atomic<T>& word, T& expected, T desired) noexcept {
    if (platform::is_rseq_registered && platform::restartable_store_unless(thieves_, word, expected, desired))
        [[likely]]
      return true;
    // order: acq_rel -- release: the goroutine, for a thief; acquire: what a thief has read comes before what we write next.
    return word.compare_exchange_weak(expected, desired, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  // While it lives, the thief that made it may take, by read-modify-writes. `is_away`: the owner's, see invariant T.
  class visit {
   public:
    visit(queue_ownership& to, const std::atomic<bool>& is_away) noexcept : to_(to) {
      // order: seq_cst -- pairs with scheduler::leave_blocking, which clears is_away and then looks for thieves.
      to_.thieves_.fetch_add(1, std::memory_order_seq_cst);
      if (!is_away.load(std::memory_order_seq_cst)) platform::fence_restartable();
    }
    // order: release -- pairs with the owner's look at thieves_: the words as this thief leaves them.
    ~visit() { to_.thieves_.fetch_sub(1, std::memory_order_release); }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

   private:
    queue_ownership& to_;
  };

 private:
  std::atomic<std::uint32_t> thieves_{0};
};

}  // namespace turnkey::runtime
