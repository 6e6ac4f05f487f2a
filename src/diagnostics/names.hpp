// The names that the user has given to locks and other objects, for reports.
#pragma once

#include <string_view>

#include "platform/report.hpp"

namespace turnkey::diagnostics {

// Empty: it has none.
std::string_view name_of(const void* object) noexcept;
// `"accounts"` and the address, or just the address: `mutex "accounts" 0x...`.
void write_object_name(platform::text& out, const void* object) noexcept;

}  // namespace turnkey::diagnostics
