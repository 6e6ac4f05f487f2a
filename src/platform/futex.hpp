// The kernel's wait queue: sleep while a word has a value. Process-private.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey::platform {

constexpr std::int64_t no_deadline = INT64_MAX;

// Sleeps while *word == expected, until woken, or until `deadline` (nanoseconds on the steady clock). May return for no
// reason. False: the deadline has passed. Leaves errno as it was.
bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t deadline = no_deadline) noexcept;
// Wakes one sleeper. `word` need not exist any more: the address is all that is used.
void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept;
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

}  // namespace turnkey::platform
