// Memory for goroutine stacks and for the library's own pools.
#pragma once

#include <csetjmp>
#include <cstddef>

namespace turnkey::platform {

constexpr std::size_t page_size = 4096;

// Reserves `bytes` (a multiple of the page size) of zeroed memory that costs nothing until it is touched; null if there
// is none. `huge`: ask for huge pages (pools), else forbid them (stacks: each touches one page only).
enum class pages { small, huge };
void* map_memory(std::size_t bytes, pages kind) noexcept;
void unmap_memory(void* base, std::size_t bytes) noexcept;
// Gives the memory's pages back; the addresses stay, and read as zero.
void discard_memory(void* base, std::size_t bytes) noexcept;

// Makes the lowest page of a stack fault. `guard_kind::page`: it will (MADV_GUARD_INSTALL, which costs no mapping, or
// mprotect while the map limit allows). `canary`: it can not be guarded any more; is_canary_intact() tells whether the
// stack has grown into it.
enum class guard_kind : unsigned char { page, canary };
guard_kind guard_stack(void* lowest_page) noexcept;
bool is_canary_intact(const void* lowest_page) noexcept;

// Lets this OS thread run a signal handler although its stack is full (sigaltstack); undone at thread exit.
void install_signal_stack() noexcept;
// Installs the SIGSEGV/SIGBUS handler, once. `is_overflow(address)` is called in the handler and says whether the
// address is the guard of a stack of ours; it does not return if so (it ends the program). Other faults go to the
// handler that was there before.
void install_fault_handler(void (*check_overflow)(const void* address)) noexcept;
// Where the calling thread goes on, by siglongjmp, if it faults while that handler is in force; null: nowhere.
void catch_fault(sigjmp_buf* escape) noexcept;

}  // namespace turnkey::platform
