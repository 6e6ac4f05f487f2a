// TURNKEY_LOCK_ORDER: finds two orders of the same locks that could deadlock, even if they have not.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "diagnostics/holdings.hpp"
#include "parking/control.hpp"

namespace turnkey::diagnostics {

// What has been looked up already: who took which lock while it held what, as holdings' fingerprint, changed by the era. Each in
// the place that it names itself, until another takes that.
class familiar_orders {
 public:
  static std::uint64_t key(std::uint64_t fingerprint) noexcept {
    return fingerprint ^ era.load(std::memory_order_relaxed);
  }
  static bool has(std::uint64_t key) noexcept { return place(key).load(std::memory_order_relaxed) == key; }
  static void add(std::uint64_t key) noexcept { place(key).store(key, std::memory_order_relaxed); }
  // What an address stands for has changed: nothing is familiar any more.
  // order: relaxed -- who is told of a lock that is new, or has a new name, is told of this by the same way.
  static void forget() noexcept { era.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed); }

 private:
  static std::atomic<std::uint64_t>& place(std::uint64_t key) noexcept { return known[key >> 51]; }

  [[gnu::visibility("hidden")]] static std::array<std::atomic<std::uint64_t>, 1 << 13> known;
  [[gnu::visibility("hidden")]] static std::atomic<std::uint64_t> era;
};

// `who` is about to take `what`, or just has, whose list ends with `its`; with `what`, that has the fingerprint `fingerprint`.
void check_lock_order(const parking::control& who, const holdings::end& its, taking what,
                      std::uint64_t fingerprint) noexcept;
// Whether that would find nothing new, as far as can be seen quickly.
inline bool is_order_familiar(const holdings::end& its, std::uint64_t fingerprint) noexcept {
  return its.is_empty() || familiar_orders::has(familiar_orders::key(fingerprint));
}

// Nobody has locked it before: what is known of this address is about another lock.
void forget_lock(const void* lock) noexcept;

}  // namespace turnkey::diagnostics
