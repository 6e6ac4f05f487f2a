// SIGQUIT: what everybody does, to stderr, and the end. TURNKEY_DUMP says otherwise: exit (the default), continue, off.
//
// The handler only asks the monitor, which writes. So it works wherever the program hangs, and whatever locks the thread
// holds that the signal interrupts. A second SIGQUIT, before the first is served, ends the program at once.
#pragma once

namespace turnkey::runtime {

class quit_signal {
 public:
  // Installs the handler, unless the program has one or ignores the signal.
  static void install() noexcept;
  // Monitor only: somebody asked.
  static void serve() noexcept;
};

}  // namespace turnkey::runtime
