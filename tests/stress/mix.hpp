// What the stress tests share: actors who try every form of a blocking call, and somebody who stops them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <utility>

#include "support.hpp"

namespace support {

// One stop_source for each of N actors; anybody may request anybody's stop.
template <std::size_t N>
class stop_switches {
 public:
  // A new token for actor i, in place of the one before.
  std::stop_token renew(std::size_t i) {
    const std::scoped_lock hold(mu_);
    sources_[i] = std::stop_source();
    return sources_[i].get_token();
  }
  void request(std::size_t i) {
    std::unique_lock hold(mu_);
    std::stop_source source = sources_[i];
    hold.unlock();
    source.request_stop();
  }

 private:
  std::mutex mu_;
  std::array<std::stop_source, N> sources_;
};

enum class outcome { taken, refused };

// Takes `lock`, or is refused, by a form that `luck` chooses.
template <class Lock, std::size_t N>
outcome take(Lock& lock, dice& luck, stop_switches<N>& switches, std::size_t me) {
  bool is_mine = true;
  switch (luck.roll(6)) {
    case 0: is_mine = lock.try_lock(); break;
    case 1: is_mine = lock.try_lock_for(luck.moment()); break;
    case 2: is_mine = lock.try_lock_until(std::chrono::steady_clock::now() + luck.moment()); break;
    case 3: is_mine = lock.lock(switches.renew(me)); break;
    default: lock.lock();
  }
  return is_mine ? outcome::taken : outcome::refused;
}

// Requests stops until `is_over`: without them, who waits with a token waits like anybody else.
template <std::size_t N>
void keep_stopping(stop_switches<N>& switches, const std::atomic<bool>& is_over, std::uint64_t seed) {
  dice luck(seed);
  while (!is_over.load(std::memory_order_relaxed)) {
    switches.request(static_cast<std::size_t>(luck.roll(static_cast<int>(N))));
    turnkey::this_goroutine::yield();
  }
}

}  // namespace support
