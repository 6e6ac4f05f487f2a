// The public functions of turnkey/diagnostics.hpp.
#include <turnkey/diagnostics.hpp>

#include "diagnostics/install.hpp"
#include "diagnostics/mutex_profile.hpp"
#include "platform/report.hpp"

extern "C" {
extern const char turnkey_gdb_script_is_linked;
extern const bool turnkey_diagnostics_are_linked;
const bool turnkey_diagnostics_are_linked = true;
}
// Brings the script for gdb with it, which nobody else refers to: platform/gdb_script.S.
[[gnu::used]] static const char* const gdb_script = &turnkey_gdb_script_is_linked;

namespace turnkey::diagnostics {

namespace {

[[maybe_unused]] const bool is_installed = [] {
  watch_for_all_asleep();
  watch_for_lock_cycles();
  offer_dump();
  watch_locks(start_mutex_profile_as_set());
  start_trace_as_set();
  watch_os_mutexes();
  return true;
}();

}  // namespace

fatal_handler set_fatal_handler(fatal_handler handler) noexcept { return platform::set_fatal_handler(handler); }

}  // namespace turnkey::diagnostics
