#include "platform/safe_read.hpp"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "platform/stack_memory.hpp"

namespace turnkey::platform {

namespace {

// No sanitizer may watch: what is read belongs to others. Nor may it become a call of memcpy, which they watch.
[[gnu::no_sanitize_address, gnu::noinline]] void copy(volatile char* to, const volatile char* from,
                                                      std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
}

bool is_mapped(std::uintptr_t begin, std::uintptr_t end) noexcept {
  for (std::uintptr_t page = begin / page_size * page_size; page < end; page += page_size) {
    unsigned char residency = 0;
    if (syscall(SYS_mincore, page, page_size, &residency) != 0) return false;
  }
  return true;
}

}  // namespace

bool read_safely(void* to, const void* from, std::size_t size) noexcept {
  iovec target{.iov_base = to, .iov_len = size};
  iovec source{.iov_base = const_cast<void*>(from), .iov_len = size};
  const int error = errno;
  const long got = syscall(SYS_process_vm_readv, getpid(), &target, 1, &source, 1, 0);
  bool is_read = got == static_cast<long>(size);
  // Where a sandbox forbids that call: there are pages, at least.
  if (got < 0 && errno != EFAULT) {
    const auto begin = reinterpret_cast<std::uintptr_t>(from);
    is_read = is_mapped(begin, begin + size);
    if (is_read) copy(static_cast<char*>(to), static_cast<const char*>(from), size);
  }
  errno = error;
  return is_read;
}

}  // namespace turnkey::platform
