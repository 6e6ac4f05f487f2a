#include "platform/rseq.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "platform/environment.hpp"

// The C library registers each thread (glibc >= 2.35), and says with these where.
// NOLINTBEGIN(bugprone-reserved-identifier): the names are theirs
extern "C" {
[[gnu::weak]] extern const std::ptrdiff_t __rseq_offset;
[[gnu::weak]] extern const unsigned int __rseq_size;
}
// NOLINTEND(bugprone-reserved-identifier)

namespace turnkey::platform {

constinit std::atomic<bool> has_rseq{false};
constinit std::ptrdiff_t rseq_offset = 0;
constinit bool is_rseq_registered = false;  // written before there are threads

void forgo_rseq() noexcept { has_rseq.store(false, std::memory_order_seq_cst); }

namespace {

// linux/membarrier.h of Linux 5.10
enum membarrier_command : int { query = 0, fence_rseq = 1 << 7, register_rseq = 1 << 8 };

long membarrier(membarrier_command command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

bool prepare() noexcept {
#if defined(__x86_64__)
  const unsigned int* volatile size = &__rseq_size;  // volatile: a compiler takes an address for non-null
  if (size == nullptr || *size == 0) return false;
  const long commands = membarrier(query);
  if (commands < 0 || (commands & fence_rseq) == 0 || (commands & register_rseq) == 0) return false;
  if (membarrier(register_rseq) != 0) return false;
  rseq_offset = __rseq_offset;
  is_rseq_registered = true;
  return true;
#else
  return false;
#endif
}

// Early: registering is slow once there are threads, and other constructors may take locks.
[[gnu::constructor(101)]] void enable() noexcept {
  enum { on, off };
  const int error = errno;
  if (environment_choice("TURNKEY_RSEQ", {"on", "off"}, on) == on && prepare()) {
    has_rseq.store(true, std::memory_order_relaxed);
  }
  errno = error;
}

}  // namespace

void fence_restartable() noexcept {
  if (!is_rseq_registered) return;
  const int error = errno;
  membarrier(fence_rseq);
  errno = error;
}

}  // namespace turnkey::platform
