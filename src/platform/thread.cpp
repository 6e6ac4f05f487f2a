#include "platform/thread.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>
#include <string_view>

#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey::platform {

// --- who runs ------------------------------------------------------------------------------------------------------

namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local std::int32_t cached_thread_id = 0;

// After a fork the child's one thread has another id.
void forget_thread_id() noexcept { cached_thread_id = 0; }
[[gnu::constructor]] void watch_forks() noexcept { pthread_atfork(nullptr, nullptr, forget_thread_id); }

}  // namespace

std::int32_t thread_id() noexcept {
  if (cached_thread_id == 0) [[unlikely]]
    cached_thread_id = static_cast<std::int32_t>(syscall(SYS_gettid));
  return cached_thread_id;
}

std::int32_t process_id() noexcept { return static_cast<std::int32_t>(syscall(SYS_getpid)); }

void yield_thread() noexcept { sched_yield(); }

// --- starting ------------------------------------------------------------------------------------------------------

namespace {

struct start_request {
  char name[16];
  void (*body)(void*);
  void* argument;
};

void* start(void* raw) noexcept {
  const start_request request = *static_cast<start_request*>(raw);
  delete static_cast<start_request*>(raw);
  pthread_setname_np(pthread_self(), request.name);
  request.body(request.argument);
  return nullptr;
}

// All but those that the thread itself causes: a blocked fault ends the program without its handler.
sigset_t all_but_faults() noexcept {
  sigset_t set;
  sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&set, fault);
  return set;
}

}  // namespace

bool start_thread(const char* name, bool takes_signals, void (*body)(void*), void* argument) noexcept {
  auto* const request = new (std::nothrow) start_request{{}, body, argument};
  if (request == nullptr) return false;
  std::strncpy(request->name, name, sizeof request->name - 1);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // A thread starts with its maker's mask.
  sigset_t before;
  if (!takes_signals) {
    const sigset_t blocked = all_but_faults();
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
  }
  pthread_t thread;
  const bool is_started = pthread_create(&thread, &attributes, start, request) == 0;
  if (!takes_signals) pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (!is_started) delete request;
  return is_started;
}

// --- all threads ---------------------------------------------------------------------------------------------------

namespace {

// Raw system calls: this runs where nothing may be allocated, and sanitizers would watch the C library's functions.
int open_at(int directory, const char* path, int flags) noexcept {
  return static_cast<int>(syscall(SYS_openat, directory, path, flags | O_CLOEXEC));
}
void close_raw(int file) noexcept { syscall(SYS_close, file); }

// The first bytes of /proc/self/task/<tid>/<what>; empty if there are none.
std::string_view read_task_file(int tasks, std::int32_t tid, std::string_view what, char* buffer,
                                std::size_t capacity) noexcept {
  char path[40];
  char* end = std::to_chars(path, path + 16, tid).ptr;
  std::memcpy(end, what.data(), what.size());
  end[what.size()] = '\0';
  const int file = open_at(tasks, path, O_RDONLY);
  if (file < 0) return {};
  const long size = syscall(SYS_read, file, buffer, capacity);
  close_raw(file);
  return {buffer, size > 0 ? static_cast<std::size_t>(size) : 0};
}

enum class life : std::uint8_t { alive, zombie, gone };  // zombie: dead, but its entry is still there

life life_of(int tasks, std::int32_t tid) noexcept {
  char buffer[256];
  const std::string_view stat = read_task_file(tasks, tid, "/stat", buffer, sizeof buffer);
  // "<tid> (<name>) <state> ..."; the name may hold anything.
  const std::size_t end_of_name = stat.rfind(')');
  if (stat.empty()) return life::gone;
  if (end_of_name == std::string_view::npos || end_of_name + 2 >= stat.size()) return life::alive;
  const char state = stat[end_of_name + 2];
  return state == 'Z' || state == 'X' || state == 'x' ? life::zombie : life::alive;
}

// More than so many. The kernel has the number as the directory's count of links: one for each thread, and the usual two.
bool has_more_threads(int tasks, std::uint64_t than) noexcept {
  struct stat information {};
  return syscall(SYS_fstat, tasks, &information) == 0 && information.st_nlink > than + 2;
}

struct directory_entry {  // the kernel's linux_dirent64
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[1];
};

// ThreadSanitizer's own background thread, which is not the program's and looks like any other. 0 if there is none.
constinit std::int32_t tsan_thread = 0;

}  // namespace

// The kernel walks its list of threads. When the one it stands at ends, it goes on by counting from the start, and passes over
// one for each that has gone from before (seen: one listing in eight, next to a thread that ends). So a list that names one
// that is gone, or is not as long as it should be, is no complete one.
bool for_each_thread(void (*visit)(std::int32_t tid, void* argument), void* argument) noexcept {
  const int error = errno;
  const int tasks = open_at(AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY);
  bool is_complete = tasks >= 0;
  std::uint64_t count = 0;
  bool is_whole = true;
  while (is_complete) {
    alignas(directory_entry) char entries[2048];
    const long size = syscall(SYS_getdents64, tasks, entries, sizeof entries);
    if (size < 0) is_complete = false;
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const directory_entry*>(entries + at);
      at += entry->size;
      std::int32_t tid = 0;
      std::from_chars(entry->name, entry->name + std::strlen(entry->name), tid);
      if (tid == 0) continue;
      ++count;
      const life its = life_of(tasks, tid);
      if (its == life::gone) is_whole = false;
      if (its == life::alive && tid != tsan_thread) visit(tid, argument);
    }
  }
  is_complete = is_complete && is_whole && !has_more_threads(tasks, count);
  if (tasks >= 0) close_raw(tasks);
  errno = error;
  return is_complete;
}

bool is_thread_there(std::int32_t thread) noexcept {
  const int error = errno;
  const bool is_there = syscall(SYS_tgkill, getpid(), thread, 0) == 0;
  errno = error;
  return is_there;
}

std::string_view thread_name(std::int32_t thread, char (&buffer)[16]) noexcept {
  const int error = errno;
  const int tasks = open_at(AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY);
  std::string_view name;
  if (tasks >= 0) {
    name = read_task_file(tasks, thread, "/comm", buffer, sizeof buffer);
    close_raw(tasks);
  }
  errno = error;
  if (name.ends_with('\n')) name.remove_suffix(1);
  return name;
}

namespace {

// The runtime starts its thread with the program's first. So we start one, before anyone else does: what is there then
// besides the main thread and that one is the runtime's.
[[gnu::constructor(101)]] void find_tsan_thread() noexcept {
  if (!is_tsan) return;
  int count = 0;
  for_each_thread([](std::int32_t, void* n) { ++*static_cast<int*>(n); }, &count);
  if (count != 1) return;  // the library was loaded late: there is no telling them apart
  static constinit std::int32_t first = 0;
  pthread_t thread;
  const auto body = [](void*) -> void* {
    first = thread_id();
    return nullptr;
  };
  if (pthread_create(&thread, nullptr, body, nullptr) != 0) return;
  pthread_join(thread, nullptr);
  for_each_thread(
      [](std::int32_t tid, void*) {
        if (tid != first && tid != thread_id()) tsan_thread = tid;
      },
      nullptr);
}

}  // namespace

// --- the end -------------------------------------------------------------------------------------------------------

void at_process_exit(void (*hook)(int status)) noexcept {
#if defined(__GLIBC__)
  on_exit([](int status, void* raw) { reinterpret_cast<void (*)(int)>(raw)(status); }, reinterpret_cast<void*>(hook));
#else
  // atexit tells nobody the status, and takes no argument.
  static void (*the_hook)(int) = nullptr;
  the_hook = hook;
  atexit([] { the_hook(EXIT_SUCCESS); });
#endif
}

namespace {

constinit std::array<std::atomic<void (*)() noexcept>, 8> end_hooks{};

// Whoever takes a hook out calls it, so that it is called once.
void run_end_hooks() noexcept {
  for (auto& slot : end_hooks) {
    if (auto* const hook = slot.exchange(nullptr, std::memory_order_acq_rel)) hook();
  }
}

}  // namespace

void at_process_end(void (*hook)() noexcept) noexcept {
  static std::atomic<bool> is_registered{false};
  if (!is_registered.exchange(true, std::memory_order_relaxed)) {
    at_process_exit([](int /*status*/) { run_end_hooks(); });
  }
  for (auto& slot : end_hooks) {
    void (*none)() noexcept = nullptr;
    // order: release -- pairs with the exchange in run_end_hooks(): what the hook needs is there.
    if (slot.compare_exchange_strong(none, hook, std::memory_order_release, std::memory_order_relaxed)) return;
  }
}

namespace {

// Flushes what C++ streams hold back, as their destructor would.
void flush_streams() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
    std::wcout.flush();
    std::wclog.flush();
  } catch (...) {  // a stream may be set to throw; the program ends anyway
  }
}

std::atomic<std::uint32_t> is_flushed{0};

void flush_files(void* /*unused*/) noexcept {
  fflush(nullptr);
  // order: release -- pairs with the acquire in end_process().
  is_flushed.store(1, std::memory_order_release);
  futex_wake_all(is_flushed);
}

}  // namespace

void end_process(int status) noexcept {
  constexpr std::int64_t patience = 1'000'000'000;
  run_end_hooks();
  flush_streams();
  // Standard output first, and for as long as it takes, as at any exit: its reader may be slow.
  if (ftrylockfile(stdout) == 0) {
    fflush_unlocked(stdout);
    funlockfile(stdout);
  }
  // The other files need their locks, and a thread may sit in a stdio call for ever and hold one. So another thread
  // tries, and we do not wait for it for ever.
  if (start_thread("turnkey-flush", false, flush_files, nullptr)) {
    const std::int64_t deadline = now() + patience;
    while (is_flushed.load(std::memory_order_acquire) == 0 && futex_wait(is_flushed, 0, deadline)) {
    }
  }
  _exit(status);
}

}  // namespace turnkey::platform
