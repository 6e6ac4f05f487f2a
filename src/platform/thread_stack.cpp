// Asking a thread for its stack; see thread_stack.hpp.
//
//   state       who sets it
//   idle        the asker                     nobody asks
//   asked       the asker                     the thread named in `thread` is to answer
//   answering   that thread, in its handler   `frames` is its
//   answered    that thread                   `frames` is the asker's
//
// An asker that has lost patience takes the question back (asked to idle). If it is too late for that, it waits a little more,
// and if the thread gets no CPU even then, nobody asks again before it has answered.
#include "platform/thread_stack.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "platform/sanitizer.hpp"
#include "platform/signal.hpp"
#include "platform/thread.hpp"

namespace turnkey::platform {

namespace {

constexpr std::int64_t patience = 500'000'000;  // on a loaded machine a thread waits for a CPU as long as that
constexpr std::uint32_t idle = 0;
constexpr std::uint32_t asked = 1;
constexpr std::uint32_t answering = 2;
constexpr std::uint32_t answered = 3;

struct question {
  raw_lock lock;  // one asker at a time
  std::atomic<std::uint32_t> state{idle};
  std::atomic<std::int32_t> thread{0};
  stack_frames frames;
  bool is_installed = false;
  struct sigaction previous {};
};
constinit question the_question{};

void answer(int signal, siginfo_t* info, void* context) noexcept {
  const int error = errno;
  question& q = the_question;
  const bool is_ours = info->si_code == SI_QUEUE && info->si_value.sival_ptr == &q;
  std::uint32_t expected = asked;
  if (!is_ours) {
    pass_on(q.previous, signal, info, context);
    // order: acquire -- pairs with the asker's release: whom it asks. An old signal may come when another is asked.
  } else if (q.state.load(std::memory_order_acquire) == asked &&
             q.thread.load(std::memory_order_relaxed) == thread_id() &&
             q.state.compare_exchange_strong(expected, answering, std::memory_order_acquire)) {
    take_interrupted_frames(q.frames, context);
    // order: release -- pairs with the asker's acquire: the frames.
    q.state.store(answered, std::memory_order_release);
    futex_wake_one(q.state);
  }
  errno = error;
}

bool wait_for_answer(question& q) noexcept {
  const std::int64_t deadline = now() + patience;
  for (;;) {
    const std::uint32_t seen = q.state.load(std::memory_order_acquire);
    if (seen == answered) return true;
    if (!futex_wait(q.state, seen, deadline)) return q.state.load(std::memory_order_acquire) == answered;
  }
}

bool ask(question& q, std::int32_t thread) noexcept {
  if (!q.is_installed) {
    // Its first use may allocate, which it must not do in the handler.
    take_own_frames(q.frames);
    q.is_installed = handle_signal(SIGURG, answer, q.previous);
  }
  const std::uint32_t before = q.state.load(std::memory_order_acquire);
  if (!q.is_installed || (before != idle && before != answered)) return false;
  q.thread.store(thread, std::memory_order_relaxed);
  // order: release -- pairs with the handler.
  q.state.store(asked, std::memory_order_release);
  siginfo_t info{};
  info.si_signo = SIGURG;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_value.sival_ptr = &q;
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, SIGURG, &info) == 0 && wait_for_answer(q)) return true;
  std::uint32_t expected = asked;
  if (q.state.compare_exchange_strong(expected, idle, std::memory_order_acquire)) return false;
  return wait_for_answer(q);
}

}  // namespace

bool take_frames_of_thread(std::int32_t thread, stack_frames& to) noexcept {
  to.count = 0;
  if (thread == thread_id()) {
    take_own_frames(to);
    return true;
  }
  const tsan_ignore ignore;
  const int error = errno;
  question& q = the_question;
  q.lock.lock();
  const bool is_answered = ask(q, thread);
  if (is_answered) {
    to = q.frames;
    q.state.store(idle, std::memory_order_relaxed);
  }
  q.lock.unlock();
  errno = error;
  return is_answered;
}

}  // namespace turnkey::platform
