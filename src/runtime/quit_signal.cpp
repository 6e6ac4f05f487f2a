// SIGQUIT; see quit_signal.hpp.
#include "runtime/quit_signal.hpp"

#include <atomic>
#include <csignal>

#include "parking/hooks.hpp"
#include "platform/environment.hpp"
#include "platform/report.hpp"
#include "platform/signal.hpp"
#include "runtime/monitor.hpp"

namespace turnkey::runtime {

namespace {

enum class action : int { exit, go_on, off };
constinit action wanted = action::exit;
constinit std::atomic<bool> is_asked{false};

void on_quit(int signal, siginfo_t* /*info*/, void* /*context*/) noexcept {
  if (is_asked.exchange(true, std::memory_order_relaxed) && wanted == action::exit) platform::end_program();
  // A child after fork() has no monitor.
  if (platform::is_forked() || !monitor::call_for_attention()) platform::take_default(signal);
}

}  // namespace

void quit_signal::install() noexcept {
  const int choice = platform::environment_choice("TURNKEY_DUMP", {"exit", "continue", "off"}, 0);
  wanted = static_cast<action>(choice);
  if (wanted != action::off) platform::handle_if_default(SIGQUIT, on_quit);
}

void quit_signal::serve() noexcept {
  if (!is_asked.load(std::memory_order_relaxed)) return;
  if (wanted == action::go_on) is_asked.store(false, std::memory_order_relaxed);
  if (auto* const dump = parking::on_dump.load(std::memory_order_acquire)) dump();
  if (wanted == action::exit) platform::end_program();
}

}  // namespace turnkey::runtime
