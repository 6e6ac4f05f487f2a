// TURNKEY_OS_MUTEX=1: a mutex of the system's (std::mutex, std::shared_mutex, pthread_mutex_t) that a goroutine holds while it
// waits. Such a mutex belongs to the OS thread: who wants it on the same worker meanwhile blocks the worker, with the one that
// could unlock it, and unlocking it on another thread is undefined.
//
// The calls of the pthread functions, inline ones of std::mutex too, go through slots that can be made to point here. What is
// locked by goroutines is on a list, with the place; a goroutine that is about to wait looks whether it is on it. Each place is
// reported once. One that only yields is not seen. Without the variable nothing is redirected, and nothing paid.
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>

#include "diagnostics/install.hpp"
#include "diagnostics/trace.hpp"
#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "parking/waiter.hpp"
#include "platform/environment.hpp"
#include "platform/raw_lock.hpp"
#include "platform/redirect.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_trace.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;

// ---- What is held ---------------------------------------------------------------------------------------------------

constexpr std::size_t most_held = 1024;  // by all goroutines together; what is more is not watched
constexpr std::size_t most_places = 256;

struct os_holding {
  const void* lock = nullptr;
  const control* who = nullptr;
  std::uint32_t token = 0;
  platform::short_stack stack;
};

struct list {
  platform::raw_lock lock;
  // Changed under the lock. Whoever reads 0 without it has locked nothing itself.
  std::atomic<std::size_t> count{0};
  std::array<os_holding, most_held> held{};
  std::array<std::uintptr_t, most_places> reported{};
  std::size_t reported_count = 0;
};
constinit list all;

// What this file calls may lock a mutex of the system's itself: the unwinder does.
[[gnu::tls_model("initial-exec")]] thread_local constinit bool is_busy = false;

class busy_scope {
 public:
  busy_scope() noexcept { is_busy = true; }
  ~busy_scope() { is_busy = false; }
  busy_scope(const busy_scope&) = delete;
  busy_scope& operator=(const busy_scope&) = delete;
};

// The goroutine that calls, or null.
const control* caller() noexcept {
  const control* const me = is_busy ? nullptr : parking::current_control;
  return me != nullptr && !me->is_thread() ? me : nullptr;
}

[[gnu::noinline]] void note_locked(const void* lock) noexcept {
  const control* const me = caller();
  if (me == nullptr) return;
  const busy_scope busy;
  const platform::tsan_ignore ignore;
  platform::short_stack stack;
  platform::take_own_frames(stack);
  all.lock.lock();
  const std::size_t count = all.count.load(std::memory_order_relaxed);
  if (count < most_held) {
    os_holding& added = all.held[count];
    added.lock = lock;
    added.who = me;
    added.token = me->token();
    added.stack = stack;
    all.count.store(count + 1, std::memory_order_relaxed);
  }
  all.lock.unlock();
}

// By whoever it is: one that is locked by a goroutine may be unlocked elsewhere, wrong as that is.
[[gnu::noinline]] void note_unlocked(const void* lock) noexcept {
  if (is_busy || all.count.load(std::memory_order_relaxed) == 0) return;
  const platform::tsan_ignore ignore;
  all.lock.lock();
  const std::size_t count = all.count.load(std::memory_order_relaxed);
  for (std::size_t i = count; i-- != 0;) {
    if (all.held[i].lock != lock) continue;
    std::move(all.held.begin() + static_cast<std::ptrdiff_t>(i) + 1,
              all.held.begin() + static_cast<std::ptrdiff_t>(count), all.held.begin() + static_cast<std::ptrdiff_t>(i));
    all.count.store(count - 1, std::memory_order_relaxed);
    break;
  }
  all.lock.unlock();
}

// ---- What is reported -----------------------------------------------------------------------------------------------

// Under the list's lock. Whether the place where that was locked has not been reported.
bool is_news(const os_holding& h) noexcept {
  std::uintptr_t place = 0;
  for (int i = 0; i < h.stack.count; ++i) place = place * 31 + h.stack.at[static_cast<std::size_t>(i)];
  const auto end = all.reported.begin() + static_cast<std::ptrdiff_t>(all.reported_count);
  if (std::find(all.reported.begin(), end, place) != end || all.reported_count == most_places) return false;
  all.reported[all.reported_count++] = place;
  return true;
}

void report(const os_holding& h, const parking::waiter& w) noexcept {
  static constinit char buffer[std::size_t{32} << 10] = {};
  platform::text out(buffer, sizeof buffer);
  out << "OS mutex held across a wait: mutex " << h.lock << " (std::mutex or another of pthread's), by ";
  h.who->describe(out);
  out << ", which comes to wait [" << to_string(w.why()) << "]\n\nwaits here:\n";
  out.stack();
  out << "\nlocked it here:\n";
  out.stack_at(h.stack);
  out << "\nA goroutine may go on on another thread, where it must not unlock this; and another one that wants it "
         "blocks a\n"
         "worker until then. Unlock it before waiting, or use turnkey::mutex.\n\n";
  platform::write_error(out.view());
}

void look_before_waiting(const parking::waiter& w) noexcept {
  if (all.count.load(std::memory_order_relaxed) == 0) return;
  const control* const me = caller();
  if (me == nullptr) return;
  const busy_scope busy;
  const platform::tsan_ignore ignore;
  all.lock.lock();
  for (std::size_t i = 0, n = all.count.load(std::memory_order_relaxed); i < n; ++i) {
    const os_holding& h = all.held[i];
    if (h.who == me && h.token == me->token() && is_news(h)) report(h, w);
  }
  all.lock.unlock();
}

// ---- Redirections ---------------------------------------------------------------------------------------------------

// The functions of pthread's, in the order of the redirections below.
enum which {
  lock,
  trylock,
  timedlock,
  clocklock,
  unlock,
  rdlock,
  tryrdlock,
  timedrdlock,
  clockrdlock,
  wrlock,
  trywrlock,
  timedwrlock,
  clockwrlock,
  rwunlock,
  how_many
};
constinit std::array<void*, how_many> originals{};

template <which I, class Lock, class... Rest>
int take(Lock* what, Rest... rest) noexcept {
  const int result = reinterpret_cast<int (*)(Lock*, Rest...)>(originals[I])(what, rest...);
  if (result == 0 || result == EOWNERDEAD) note_locked(what);
  return result;
}

template <which I, class Lock>
int give(Lock* what) noexcept {
  note_unlocked(what);
  return reinterpret_cast<int (*)(Lock*)>(originals[I])(what);
}

template <class Function>
void* address_of(Function* f) noexcept {
  return reinterpret_cast<void*>(f);
}

}  // namespace

void watch_os_mutexes() noexcept {
  enum { off, on };
  if (platform::environment_choice("TURNKEY_OS_MUTEX", {"0", "1"}, off) != on) return;
  const std::array<platform::redirection, how_many> redirections{{
      {"pthread_mutex_lock", address_of(take<lock, pthread_mutex_t>)},
      {"pthread_mutex_trylock", address_of(take<trylock, pthread_mutex_t>)},
      {"pthread_mutex_timedlock", address_of(take<timedlock, pthread_mutex_t, const timespec*>)},
      {"pthread_mutex_clocklock", address_of(take<clocklock, pthread_mutex_t, clockid_t, const timespec*>)},
      {"pthread_mutex_unlock", address_of(give<unlock, pthread_mutex_t>)},
      {"pthread_rwlock_rdlock", address_of(take<rdlock, pthread_rwlock_t>)},
      {"pthread_rwlock_tryrdlock", address_of(take<tryrdlock, pthread_rwlock_t>)},
      {"pthread_rwlock_timedrdlock", address_of(take<timedrdlock, pthread_rwlock_t, const timespec*>)},
      {"pthread_rwlock_clockrdlock", address_of(take<clockrdlock, pthread_rwlock_t, clockid_t, const timespec*>)},
      {"pthread_rwlock_wrlock", address_of(take<wrlock, pthread_rwlock_t>)},
      {"pthread_rwlock_trywrlock", address_of(take<trywrlock, pthread_rwlock_t>)},
      {"pthread_rwlock_timedwrlock", address_of(take<timedwrlock, pthread_rwlock_t, const timespec*>)},
      {"pthread_rwlock_clockwrlock", address_of(take<clockwrlock, pthread_rwlock_t, clockid_t, const timespec*>)},
      {"pthread_rwlock_unlock", address_of(give<rwunlock, pthread_rwlock_t>)},
  }};
  for (std::size_t i = 0; i < how_many; ++i) {
    originals[i] = dlsym(RTLD_DEFAULT, redirections[i].name);
    if (originals[i] == nullptr) {
      platform::warn("TURNKEY_OS_MUTEX: the functions of pthread's mutexes cannot be found; they are not watched");
      return;
    }
  }
  if (platform::redirect_calls(redirections) == 0) {
    platform::warn("TURNKEY_OS_MUTEX: this program calls pthread's mutexes in a way that cannot be watched");
    return;
  }
  call_before_waits(look_before_waiting);
}

}  // namespace turnkey::diagnostics
