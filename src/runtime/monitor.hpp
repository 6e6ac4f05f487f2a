// The monitor: a thread of its own that sees what workers cannot - that one of them is stuck, that a timer is late, that
// everybody waits. It sleeps while nothing goes on.
#pragma once

#include <cstdint>

namespace turnkey::runtime {

class monitor {
 public:
  // Starts it, once, or wakes it up.
  static void wake() noexcept;
  // Wakes it if it sleeps. One load otherwise.
  static void note_activity() noexcept;
  static bool is_monitor_thread(std::int32_t thread) noexcept;
  // Has it call quit_signal::serve() soon, whatever it waits for. False if it does not run. Async-signal-safe.
  static bool call_for_attention() noexcept;

 private:
  static void run(void*) noexcept;
  static void look_at_workers() noexcept;
};

}  // namespace turnkey::runtime
