#include "platform/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "platform/sanitizer.hpp"

namespace turnkey::platform {

namespace {

long futex(const std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* deadline) noexcept {
  return syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void wake(const std::atomic<std::uint32_t>& word, std::uint32_t how_many) noexcept {
  const int error = errno;
  futex(word, FUTEX_WAKE, how_many, nullptr);
  errno = error;
}

}  // namespace

bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline) noexcept {
  timespec until{};
  const timespec* limit = nullptr;
  if (deadline != no_deadline) {
    // The kernel calls a time before the clock's start an error, not a time in the past.
    if (deadline < 0) deadline = 0;
    until.tv_sec = static_cast<time_t>(deadline / 1'000'000'000);
    until.tv_nsec = static_cast<long>(deadline % 1'000'000'000);
    limit = &until;
  }
  const int error = errno;
  // FUTEX_WAIT takes a relative time; the bitset form takes a time on the steady clock.
  const bool is_woken = futex(word, FUTEX_WAIT_BITSET, expected, limit) == 0;
  const bool is_late = !is_woken && errno == ETIMEDOUT;
  // TSan puts a signal off until the thread next calls a function that its runtime knows, which we might never do.
  if (!is_woken && errno == EINTR && is_tsan) usleep(0);
  errno = error;
  return !is_late;
}

void futex_wake_one(const std::atomic<std::uint32_t>& word) noexcept { wake(word, 1); }
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept { wake(word, INT_MAX); }

}  // namespace turnkey::platform
