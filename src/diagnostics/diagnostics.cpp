// The public functions of turnkey/diagnostics.hpp.
#include <turnkey/diagnostics.hpp>

#include "platform/report.hpp"

namespace turnkey::diagnostics {

fatal_handler set_fatal_handler(fatal_handler handler) noexcept { return platform::set_fatal_handler(handler); }

}  // namespace turnkey::diagnostics
