// What becomes of an exception that leaves a goroutine, and of a goroutine that overruns its stack.
#pragma once

namespace turnkey::runtime {

class panic {
 public:
  // Installs the handlers, once: std::set_terminate and SIGSEGV. What was there before still gets what is not ours.
  static void install() noexcept;
};

}  // namespace turnkey::runtime
