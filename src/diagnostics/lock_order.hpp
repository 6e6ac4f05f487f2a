// TURNKEY_LOCK_ORDER: finds two orders of the same locks that could deadlock, even if they have not.
#pragma once

#include "diagnostics/holdings.hpp"
#include "parking/control.hpp"
#include "parking/reason.hpp"

namespace turnkey::diagnostics {

// `who` is about to lock `lock`, and holds what `mine` says. `is_new`: nobody has locked it before, so what is known of this
// address is about another lock.
void check_lock_order(const parking::control& who, const holdings& mine, const void* lock, parking::reason how,
                      bool is_new) noexcept;
// A lock has another name than before: what is remembered of its address is about another class.
void forget_lock_classes() noexcept;

}  // namespace turnkey::diagnostics
