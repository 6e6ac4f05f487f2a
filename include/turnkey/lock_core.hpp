// turnkey/lock_core.hpp -- what mutex and rw_mutex are made of. Not for direct use: it has no public members.
//
// One state word, the owner, and a FIFO queue of the waiters' own stack nodes: 16 bytes. The protocol is at the top of
// src/sync/lock_core.hpp.
#pragma once

#include <atomic>
#include <cstdint>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class waiter;
}

class lock_core {
 public:
  lock_core(const lock_core&) = delete;  // a lock cannot be copied: a copy would be another lock
  lock_core& operator=(const lock_core&) = delete;

 private:
  friend class mutex;
  friend class rw_mutex;
  friend class lock_protocol;
  constexpr explicit lock_core(std::uint32_t idle) noexcept : state_(idle) {}

  alignas(8) std::atomic<std::uint32_t> state_;
  std::atomic<std::uint32_t> owner_{0};  // who locked it last, and whether it has unlocked it; right behind state_
  parking::waiter* queue_ = nullptr;     // guarded by the latch bit of state_
};

}  // namespace turnkey
