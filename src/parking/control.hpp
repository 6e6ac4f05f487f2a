// A thread of control: a goroutine, or an OS thread that uses the library. What every blocking operation parks.
//
// Records of controls are never unmapped, so a pointer or a token that outlived its control leads to a record that is
// unused or that of another control, never to foreign memory.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/report.hpp"

namespace turnkey::parking {

class waiter;

class control {
 public:
  control(const control&) = delete;
  control& operator=(const control&) = delete;

  // The calling thread of control. Never inlined: a compiler may remember a thread-local's address across a park, after
  // which a goroutine may be on another OS thread.
  static control& current() noexcept;

  // Blocks until `w` (which is in state parked or about to be) is signalled or alarmed, or `deadline` passes, in which
  // case it alarms it. Called by waiter only.
  virtual void suspend(waiter& w, std::int64_t deadline) noexcept = 0;
  // The same without a deadline, and `word = after` (release) once the control is off the CPU, or just before. Until then
  // nobody sees `w`.
  virtual void suspend_unlatching(waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept = 0;
  // `w`, which this control parked on, has left the state parked. The control goes on. Called once per such change.
  virtual void resume() noexcept = 0;
  // How long, in nanoseconds, it pays to poll before parking.
  [[nodiscard]] virtual std::int64_t spin_time() const noexcept = 0;
  // `goroutine 7 "writer"` or `thread 4711`. Async-signal-safe.
  virtual void describe(platform::text& out) const noexcept = 0;
  [[nodiscard]] virtual bool is_thread() const noexcept = 0;

  // Names this control in 32 bits, for the owner word of locks: never 0; another control may get it only after the
  // record was reused 1,024 times.
  [[nodiscard]] std::uint32_t token() const noexcept { return token_; }
  // What it waits for, or null. For reports: may be out of date at once.
  [[nodiscard]] waiter* waiting() const noexcept { return waiting_.load(std::memory_order_acquire); }

 protected:
  constexpr control() noexcept = default;
  ~control() = default;
  void set_token(std::uint32_t token) noexcept { token_ = token; }

 private:
  friend class waiter;
  std::uint32_t token_ = 0;
  std::atomic<waiter*> waiting_{nullptr};
};

// The control that runs on this OS thread, and its token: null and 0 until a thread of control first needs them. Set by
// the scheduler at every switch. A function may read them only before anything in it can park.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit control* current_control;
[[gnu::tls_model("initial-exec")]] extern thread_local constinit std::uint32_t current_token;

// The bit that tells the tokens of OS threads from those of goroutines.
constexpr std::uint32_t thread_bit = 1u << 31;
constexpr bool is_thread_token(std::uint32_t token) noexcept { return (token & thread_bit) != 0; }

// The token of the calling thread of control; makes it known if it is new.
std::uint32_t make_current_token() noexcept;
inline std::uint32_t token_of_current() noexcept {
  const std::uint32_t token = current_token;
  return token != 0 ? token : make_current_token();
}

}  // namespace turnkey::parking
