// What those who wait for a lock have waited, charged to whoever lets them in. Only while somebody wants to know
// (on_contention); else it costs a load of that hook, and only where a waiter is woken.
//
// Charged as Go charges it: what the first in the queue has waited, and for each of the others - woken as well or not -
// the mean of the first one's wait and the last one's. Then the time stamps of those that are now at the ends begin anew.
// Invariant C (nothing is charged twice): the stamps of the first and the last in a queue are not older than the last
//   charge; those between them may be, and do not count until they come to be an end, which gives them a new one.
// The stamp is kept in waiter::request: since when the wait, polling included, has not been charged to anybody; 0: not known,
//   since nobody wanted to know when it began, and not charged.
#pragma once

#include <atomic>
#include <cstdint>

#include "parking/hooks.hpp"
#include "parking/wait_queue.hpp"
#include "platform/clock.hpp"

namespace turnkey::parking {

class contention {
 public:
  // order: acquire -- pairs with the release of who sets the hook: what it needs is there.
  contention() noexcept : charge_(on_contention.load(std::memory_order_acquire)) {
    if (charge_ != nullptr) [[unlikely]]
      now_ = platform::now();
  }
  contention(const contention&) = delete;
  contention& operator=(const contention&) = delete;

  // Whether those who wait must know since when.
  static bool is_charged() noexcept { return on_contention.load(std::memory_order_relaxed) != nullptr; }

  // Under the latch, before an unlock takes anybody out, and after it has.
  void before(const wait_queue& queue) noexcept {
    if (charge_ == nullptr) [[likely]]
      return;
    const std::int64_t first = wait_of(*queue.front());
    const std::int64_t last = wait_of(*queue.back());
    delay_ += first + (first + last) / 2 * (queue.size() - 1);
  }
  void after(const wait_queue& queue) const noexcept {
    if (charge_ == nullptr || queue.is_empty()) [[likely]]
      return;
    queue.front()->request = queue.back()->request = static_cast<std::uint64_t>(now_);
  }
  // `w` is woken alone, by somebody who gives up in its favour: the others go on waiting for the same unlock.
  void add(const waiter& w) noexcept {
    if (charge_ != nullptr) [[unlikely]]
      delay_ += wait_of(w);
  }
  // After the last access to the lock: the hook walks the stack and takes a lock of its own.
  void charge() const noexcept {
    if (delay_ > 0) [[unlikely]]
      charge_(delay_);
  }

  // Under the latch: takes `w` out of the queue, uncharged. Who is at an end of it now may be charged from then on only.
  static void leave(lock_queue queue, waiter& w) noexcept {
    const bool was_first = queue.front() == &w;
    const bool was_last = queue.back() == &w;
    queue.remove(w);
    if (queue.is_empty()) return;
    if (was_first) make_younger(*queue.front(), w.request);
    if (was_last) make_younger(*queue.back(), w.request);
  }

 private:
  [[nodiscard]] std::int64_t wait_of(const waiter& w) const noexcept {
    const auto since = static_cast<std::int64_t>(w.request);
    return since != 0 && now_ > since ? now_ - since : 0;
  }
  static void make_younger(waiter& w, std::uint64_t since) noexcept {
    if (w.request < since) w.request = since;
  }

  void (*charge_)(std::int64_t delay) noexcept;
  std::int64_t now_ = 0;
  std::int64_t delay_ = 0;
};

}  // namespace turnkey::parking
