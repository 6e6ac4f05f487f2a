#include "parking/hooks.hpp"

// In a static library an object file that nobody refers to is left out, with the hooks it would set. This reference makes
// diagnostics, and with it the runtime, part of every program that can wait. It is the one place where linking goes the
// other way than including.
extern "C" const bool turnkey_diagnostics_are_linked;

namespace turnkey::parking {

constinit std::atomic<void (*)() noexcept> on_long_wait{nullptr};
constinit std::atomic<bool (*)() noexcept> on_all_asleep{nullptr};
constinit std::atomic<void (*)(std::int64_t) noexcept> on_contention{nullptr};

[[gnu::used]] const bool* const diagnostics = &turnkey_diagnostics_are_linked;

}  // namespace turnkey::parking
