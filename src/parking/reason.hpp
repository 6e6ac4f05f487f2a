// Why a thread of control waits, spelt as Go's reports spell it.
#pragma once

#include <cstdint>
#include <string_view>

namespace turnkey::parking {

enum class reason : std::uint8_t {
  mutex_lock,
  rw_mutex_lock,
  rw_mutex_lock_shared,
  wait_group_wait,
  once_call,
  condition_wait,
  semaphore_acquire,
  sleep,
};

constexpr std::string_view to_string(reason why) noexcept {
  switch (why) {
    case reason::mutex_lock: return "sync.Mutex.Lock";
    case reason::rw_mutex_lock: return "sync.RWMutex.Lock";
    case reason::rw_mutex_lock_shared: return "sync.RWMutex.RLock";
    case reason::wait_group_wait: return "sync.WaitGroup.Wait";
    case reason::once_call: return "sync.Once.Do";
    case reason::condition_wait: return "sync.Cond.Wait";
    case reason::semaphore_acquire: return "semacquire";
    case reason::sleep: return "sleep";
  }
  return "?";
}

}  // namespace turnkey::parking
