// Why a thread of control waits, spelt as Go's reports spell it.
#pragma once

#include <cstdint>
#include <string_view>

namespace turnkey::parking {

// The first three are waits for locks; control::wanted() has room for them.
enum class reason : std::uint8_t {
  mutex_lock,
  rw_mutex_lock,
  rw_mutex_lock_shared,
  wait_group_wait,
  once_call,
  condition_wait,
  semaphore_acquire,
  chan_send,
  chan_send_nil,
  chan_receive,
  chan_receive_nil,
  select,
  select_no_cases,
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
    case reason::chan_send: return "chan send";
    case reason::chan_send_nil: return "chan send (nil chan)";
    case reason::chan_receive: return "chan receive";
    case reason::chan_receive_nil: return "chan receive (nil chan)";
    case reason::select: return "select";
    case reason::select_no_cases: return "select (no cases)";
    case reason::sleep: return "sleep";
  }
  return "?";
}

}  // namespace turnkey::parking
