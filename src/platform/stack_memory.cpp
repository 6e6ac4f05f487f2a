#include "platform/stack_memory.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "platform/raw_lock.hpp"
#include "platform/report.hpp"

namespace turnkey::platform {

namespace {

constexpr std::size_t huge_page_size = std::size_t{2} << 20;

void* map(std::size_t bytes) noexcept {
  void* const base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return base != MAP_FAILED ? base : nullptr;
}

// Memory that starts at a multiple of 2 MiB: nothing less can become a huge page.
void* map_aligned(std::size_t bytes) noexcept {
  const std::size_t reserved = bytes + huge_page_size;
  char* const base = static_cast<char*>(map(reserved));
  if (base == nullptr) return nullptr;
  const std::size_t before =
      (huge_page_size - reinterpret_cast<std::uintptr_t>(base) % huge_page_size) % huge_page_size;
  const std::size_t after = reserved - before - bytes;
  if (before != 0) munmap(base, before);
  if (after != 0) munmap(base + before + bytes, after);
  return base + before;
}

}  // namespace

void* map_memory(std::size_t bytes, pages kind) noexcept {
  const int error = errno;
  void* const base = kind == pages::huge ? map_aligned(bytes) : map(bytes);
  // Only advice: a kernel without huge pages refuses it.
  if (base != nullptr) madvise(base, bytes, kind == pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  errno = error;
  return base;
}

void unmap_memory(void* base, std::size_t bytes) noexcept {
  const int error = errno;
  munmap(base, bytes);
  errno = error;
}

void discard_memory(void* base, std::size_t bytes) noexcept {
  const int error = errno;
  madvise(base, bytes, MADV_DONTNEED);
  errno = error;
}

// --- guards --------------------------------------------------------------------------------------------------------

namespace {

constexpr int madv_guard_install = 102;  // Linux 6.13; not in older headers

// The canary: the highest bytes of the guard page, which a stack that grows into it writes first, are zero. Zero,
// because untouched memory reads so: a canary costs no page, and survives discard_memory().
constexpr std::size_t canary_size = 256;

std::atomic<bool> has_guard_install{true};  // until the kernel says otherwise

// How many pages mprotect may still guard. Each one splits a mapping and so takes two of those that the kernel allows
// a process; half of them are left to the program.
std::int64_t protection_budget() noexcept {
  std::int64_t most = 65530;  // the kernel's default
  char digits[32];
  const int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    const ssize_t size = read(file, digits, sizeof digits);
    if (size > 0) std::from_chars(digits, digits + size, most);
    close(file);
  }
  return most / 4;
}

bool install_guard(void* page) noexcept {
  if (!has_guard_install.load(std::memory_order_relaxed)) return false;
  if (madvise(page, page_size, madv_guard_install) == 0) return true;
  // EINVAL: an older kernel, or memory that is locked. Anything else may pass.
  if (errno == EINVAL) has_guard_install.store(false, std::memory_order_relaxed);
  return false;
}

bool protect(void* page) noexcept {
  static std::atomic<std::int64_t> budget{protection_budget()};
  // The count may go below zero: nobody but us reads it.
  if (budget.load(std::memory_order_relaxed) <= 0 || budget.fetch_sub(1, std::memory_order_relaxed) <= 0) return false;
  if (mprotect(page, page_size, PROT_NONE) == 0) return true;
  budget.store(0, std::memory_order_relaxed);
  return false;
}

char* canary_of(void* page) noexcept { return static_cast<char*>(page) + page_size - canary_size; }

}  // namespace

guard_kind guard_stack(void* lowest_page) noexcept {
  const int error = errno;
  const bool is_guarded = install_guard(lowest_page) || protect(lowest_page);
  errno = error;
  if (is_guarded) return guard_kind::page;
  if (!is_canary_intact(lowest_page)) std::memset(canary_of(lowest_page), 0, canary_size);
  return guard_kind::canary;
}

[[gnu::no_sanitize_address]] bool is_canary_intact(const void* lowest_page) noexcept {
  const auto* const words =
      reinterpret_cast<const volatile std::uint64_t*>(static_cast<const char*>(lowest_page) + page_size - canary_size);
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < canary_size / sizeof(std::uint64_t); ++i) found |= words[i];
  return found == 0;
}

// --- signal stacks -------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t signal_stack_size = std::size_t{64} << 10;
// What a handler of ours needs above the kernel's own frame: reports bring a stack of their own.
constexpr std::size_t handler_size = std::size_t{8} << 10;

pthread_key_t signal_stack_key;
bool has_signal_stack_key = false;
raw_lock signal_stack_lock;  // guards the making of the key

void remove_signal_stack(void* lowest_page) noexcept {
  stack_t current{};
  // Somebody may have put another in its place.
  if (sigaltstack(nullptr, &current) == 0 && current.ss_sp == static_cast<char*>(lowest_page) + page_size) {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    if (sigaltstack(&none, nullptr) != 0) return;  // in use: better lost than unmapped
  }
  unmap_memory(lowest_page, page_size + signal_stack_size);
}

bool make_signal_stack_key() noexcept {
  signal_stack_lock.lock();
  if (!has_signal_stack_key) has_signal_stack_key = pthread_key_create(&signal_stack_key, remove_signal_stack) == 0;
  const bool has_key = has_signal_stack_key;
  signal_stack_lock.unlock();
  return has_key;
}

}  // namespace

void install_signal_stack() noexcept {
  stack_t current{};
  if (sigaltstack(nullptr, &current) != 0) return;
  // AddressSanitizer and some language runtimes install their own, and free what they find in its place.
  if ((current.ss_flags & SS_DISABLE) == 0 && current.ss_size >= getauxval(AT_MINSIGSTKSZ) + handler_size) return;
  if (!make_signal_stack_key()) return;
  void* const lowest_page = map_memory(page_size + signal_stack_size, pages::small);
  if (lowest_page == nullptr) return;
  mprotect(lowest_page, page_size, PROT_NONE);
  stack_t ours{};
  ours.ss_sp = static_cast<char*>(lowest_page) + page_size;
  ours.ss_size = signal_stack_size;
  if (sigaltstack(&ours, nullptr) != 0 || pthread_setspecific(signal_stack_key, lowest_page) != 0) {
    remove_signal_stack(lowest_page);
  }
}

// --- faults --------------------------------------------------------------------------------------------------------

namespace {

std::atomic<void (*)(const void*)> check_fault{nullptr};
struct sigaction previous_segv;
struct sigaction previous_bus;

[[gnu::tls_model("initial-exec")]] constinit thread_local sigjmp_buf* fault_escape = nullptr;

// Lets the default happen: the program ends by this signal, with a core if there is to be one.
void fall_back_to_default(int signal, const siginfo_t* info) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  // A fault comes again when the instruction is repeated. A signal that was sent has to be sent again; it waits until
  // the handler has returned.
  if (info->si_code <= 0) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

void handle_fault(int signal, siginfo_t* info, void* context) {
  if (fault_escape != nullptr && info->si_code > 0) siglongjmp(*fault_escape, 1);
  const int error = errno;
  auto* const check = check_fault.load(std::memory_order_relaxed);
  // si_code > 0: the kernel says so; else somebody sent it and there is no address.
  if (check != nullptr && info->si_code > 0) {
    enter_fault_handler();
    check(info->si_addr);
    leave_fault_handler();
  }
  const struct sigaction& previous = signal == SIGSEGV ? previous_segv : previous_bus;
  errno = error;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL || (previous.sa_handler == SIG_IGN && info->si_code > 0)) {
    fall_back_to_default(signal, info);
  } else if (previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

void take_over(int signal, struct sigaction* previous) noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = handle_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  // Read first: a fault between the two lines must find where to go on.
  sigaction(signal, nullptr, previous);
  if ((previous->sa_flags & SA_NODEFER) != 0) ours.sa_flags |= SA_NODEFER;
  sigaction(signal, &ours, nullptr);
}

}  // namespace

void catch_fault(sigjmp_buf* escape) noexcept { fault_escape = escape; }

void install_fault_handler(void (*check_overflow)(const void* address)) noexcept {
  // order: relaxed -- the handler reads it on whichever thread faults; installing it below orders it before.
  if (check_fault.exchange(check_overflow, std::memory_order_relaxed) != nullptr) return;
  take_over(SIGSEGV, &previous_segv);
  take_over(SIGBUS, &previous_bus);
}

}  // namespace turnkey::platform
