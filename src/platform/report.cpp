#include "platform/report.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "platform/environment.hpp"
#include "platform/futex.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"

namespace turnkey::platform {

// --- text ----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view cut_mark = "\n... (cut here: the report is too long)\n";

}  // namespace

text& text::operator<<(std::string_view piece) noexcept {
  if (is_cut_) return *this;
  const tsan_ignore ignore;  // memcpy is watched, and buffers change hands in ways that TSan is not told of
  while (drain_ != nullptr && piece.size() > capacity_ - size_) {
    const std::size_t room = capacity_ - size_;
    std::memcpy(buffer_ + size_, piece.data(), room);
    size_ = capacity_;
    piece.remove_prefix(room);
    flush();
  }
  // Room for the mark is kept, unless there is none at all.
  const std::size_t reserve = drain_ == nullptr && capacity_ > 2 * cut_mark.size() ? cut_mark.size() : 0;
  const std::size_t room = capacity_ - reserve - size_;
  is_cut_ = piece.size() > room;
  if (is_cut_) piece = piece.substr(0, room);
  if (!piece.empty()) std::memcpy(buffer_ + size_, piece.data(), piece.size());
  size_ += piece.size();
  if (is_cut_ && reserve != 0) {
    std::memcpy(buffer_ + size_, cut_mark.data(), cut_mark.size());
    size_ += cut_mark.size();
  }
  return *this;
}

void text::flush() noexcept {
  if (drain_ == nullptr) return;
  drain_(drain_to_, view());
  size_ = 0;
}

text& text::operator<<(const char* piece) noexcept {
  const tsan_ignore ignore;  // strlen is watched too
  return *this << std::string_view(piece);
}

text& text::operator<<(char c) noexcept { return *this << std::string_view(&c, 1); }

namespace {

template <typename Number>
std::string_view to_digits(Number number, char (&buffer)[24], int base = 10) noexcept {
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, number, base);
  return {buffer, static_cast<std::size_t>(end - buffer)};
}

}  // namespace

text& text::operator<<(std::int64_t number) noexcept {
  char digits[24];
  return *this << to_digits(number, digits);
}
text& text::operator<<(std::uint64_t number) noexcept {
  char digits[24];
  return *this << to_digits(number, digits);
}
text& text::operator<<(const void* address) noexcept {
  char digits[24];
  return *this << "0x" << to_digits(reinterpret_cast<std::uintptr_t>(address), digits, 16);
}

text& text::duration(std::int64_t nanoseconds) noexcept {
  constexpr std::int64_t tenth_of_ms = 100'000;
  constexpr std::int64_t second = 1'000'000'000;
  if (nanoseconds < 0) nanoseconds = 0;
  const std::int64_t tenths_of_ms = nanoseconds / tenth_of_ms;
  if (tenths_of_ms < 100) return *this << tenths_of_ms / 10 << '.' << tenths_of_ms % 10 << " ms";
  if (nanoseconds < second) return *this << nanoseconds / 1'000'000 << " ms";
  const std::int64_t seconds = nanoseconds / second;
  if (seconds < 60) return *this << seconds << '.' << nanoseconds % second / (second / 10) << " s";
  if (seconds < 3600) return *this << seconds / 60 << " min " << seconds % 60 << " s";
  return *this << seconds / 3600 << " h " << seconds % 3600 / 60 << " min";
}

// --- standard error ------------------------------------------------------------------------------------------------

void write_error(std::string_view content) noexcept {
  const int error = errno;
  while (!content.empty()) {
    const ssize_t written = write(STDERR_FILENO, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      break;  // there is nobody to tell
    }
  }
  errno = error;
}

namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local int fault_depth = 0;

// What the program has printed comes before the report, if that can be had without waiting for anyone.
void flush_stdout() noexcept {
  if (fault_depth != 0 || ftrylockfile(stdout) != 0) return;
  fflush_unlocked(stdout);
  funlockfile(stdout);
}

}  // namespace

void enter_fault_handler() noexcept { ++fault_depth; }
void leave_fault_handler() noexcept { --fault_depth; }
bool is_in_fault_handler() noexcept { return fault_depth != 0; }

void warn(std::string_view message) noexcept {
  char buffer[1024];
  text line(buffer, sizeof buffer);
  line << "turnkey: " << message << '\n';
  write_error(line.view());
}

// --- the fatal path ------------------------------------------------------------------------------------------------

namespace {

void describe_thread(text& report) noexcept { report << "thread " << thread_id() << " [running]:"; }

std::atomic<fatal_handler> handler{nullptr};
std::atomic<void (*)() noexcept> last_words{nullptr};
std::atomic<std::int32_t> reporter{0};  // the thread that ends the process
std::atomic<std::uint32_t> never{0};

// The report is as large as it needs to be: a program may have very many goroutines. Untouched memory costs nothing.
constexpr std::size_t report_size = std::size_t{16} << 20;
constexpr std::size_t spare_size = std::size_t{64} << 10;
constinit char spare[spare_size] = {};
alignas(text) constinit char report_storage[sizeof(text)] = {};

text& the_report() noexcept { return *reinterpret_cast<text*>(report_storage); }

[[noreturn]] void wait_for_the_end() noexcept {
  for (;;) futex_wait(never, 0);
}

}  // namespace

void at_fatal_end(void (*hook)() noexcept) noexcept { last_words.store(hook, std::memory_order_release); }

void end_program() noexcept {
  // order: acq_rel -- acquire pairs with at_fatal_end(): what the hook needs is there. Taken out, so it runs once, even if it
  // comes here itself.
  if (auto* const hook = last_words.exchange(nullptr, std::memory_order_acq_rel)) {
    sigjmp_buf escape;
    if (sigsetjmp(escape, 1) == 0) {
      catch_fault(&escape);
      hook();
    }
    catch_fault(nullptr);
  }
  enum { abort_program, exit_program };
  if (environment_choice("TURNKEY_FATAL", {"abort", "exit"}, exit_program) == abort_program) {
    signal(SIGABRT, SIG_DFL);
    abort();
  }
  // Not _exit(): TSan's runtime would flush stdio, which may hang here, wait a second and choose a status of its own.
  syscall(SYS_exit_group, 2);
  __builtin_unreachable();
}

constinit describe_function describe_current = describe_thread;

fatal_handler set_fatal_handler(fatal_handler new_handler) noexcept {
  // order: acq_rel -- pairs with the acquire in end_fatal(): what the handler needs was made before it was set.
  return handler.exchange(new_handler, std::memory_order_acq_rel);
}

text& begin_fatal() noexcept {
  std::int32_t nobody = 0;
  if (!reporter.compare_exchange_strong(nobody, thread_id(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    if (nobody != thread_id()) wait_for_the_end();
    // A fault in the report itself. What there is of it may still help.
    write_error(the_report().view());
    write_error("\n... (another fatal error while this was written)\n");
    end_program();
  }
  flush_stdout();
  void* const buffer = map_memory(report_size, pages::small);
  if (buffer != nullptr) return *::new (report_storage) text(static_cast<char*>(buffer), report_size);
  return *::new (report_storage) text(spare, spare_size);
}

void end_fatal(text& report) noexcept {
  // order: acquire -- pairs with set_fatal_handler().
  if (const fatal_handler deliver = handler.load(std::memory_order_acquire); deliver != nullptr) {
    deliver(report.view());
  } else {
    write_error(report.view());
  }
  end_program();
}

void fatal(std::string_view message) noexcept {
  text& report = begin_fatal();
  report << "fatal error: " << message << "\n\n";
  describe_current(report);
  if (!report.view().ends_with('\n')) report << '\n';
  report.stack();
  end_fatal(report);
}

}  // namespace turnkey::platform
