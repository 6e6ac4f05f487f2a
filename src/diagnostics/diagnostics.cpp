// The public functions of turnkey/diagnostics.hpp.
#include <turnkey/diagnostics.hpp>

#include "diagnostics/install.hpp"
#include "platform/report.hpp"

extern "C" {
extern const bool turnkey_diagnostics_are_linked;
const bool turnkey_diagnostics_are_linked = true;
}

namespace turnkey::diagnostics {

namespace {

[[maybe_unused]] const bool is_installed = [] {
  watch_for_all_asleep();
  watch_for_lock_cycles();
  offer_dump();
  return true;
}();

}  // namespace

fatal_handler set_fatal_handler(fatal_handler handler) noexcept { return platform::set_fatal_handler(handler); }

}  // namespace turnkey::diagnostics
