#include "platform/signal.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "platform/sanitizer.hpp"

namespace turnkey::platform {

namespace {

constinit pid_t installing_process = 0;

struct kernel_action {
  signal_handler handler;
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};

// ThreadSanitizer puts its own handler before ours and calls ours when the thread comes by, which one that waits in the
// kernel by our own system call never does. The kernel gets ours in its place, with what else the C library has set.
void bypass_tsan(int signal, signal_handler handler) noexcept {
  kernel_action action{};
  if (syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask) != 0) return;
  action.handler = handler;
  syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
}

}  // namespace

bool handle_signal(int signal, signal_handler handler, struct sigaction& previous) noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = handler;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  // Read first: a signal between the two lines must find where to go on.
  if (sigaction(signal, nullptr, &previous) != 0 || sigaction(signal, &ours, nullptr) != 0) return false;
  if (is_tsan) bypass_tsan(signal, handler);
  return true;
}

bool handle_if_default(int signal, signal_handler handler) noexcept {
  struct sigaction previous {};
  if (sigaction(signal, nullptr, &previous) != 0) return false;
  if ((previous.sa_flags & SA_SIGINFO) != 0 || previous.sa_handler != SIG_DFL) return false;
  installing_process = static_cast<pid_t>(syscall(SYS_getpid));
  return handle_signal(signal, handler, previous);
}

void pass_on(const struct sigaction& previous, int signal, siginfo_t* info, void* context) noexcept {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

void take_default(int signal) noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  // It waits until the handler has returned.
  syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), signal);
}

bool is_forked() noexcept { return syscall(SYS_getpid) != installing_process; }

}  // namespace turnkey::platform
