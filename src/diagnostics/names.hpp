// The names that the user has given to locks and other objects, for reports.
#pragma once

#include "platform/report.hpp"

namespace turnkey::diagnostics {

// ` "accounts"` and the address, or just the address: `mutex "accounts" 0x...`.
void write_object_name(platform::text& out, const void* object) noexcept;

}  // namespace turnkey::diagnostics
