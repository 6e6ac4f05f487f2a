// Switching stacks. The only code that depends on the processor's calling convention is in switch_*.S.
#pragma once

#include <cstdint>

extern "C" {
// Saves the callee-saved registers on the current stack and its pointer in *from, takes up the stack `to`. Returns, on
// this stack, when somebody switches back. Must be called from code that no sanitizer instruments.
void turnkey_switch(void** from, void* to) noexcept;
// What a fresh stack starts in: calls the function that make_stack() noted, which never returns. Has no caller, so
// that an unwinder stops there.
void turnkey_start() noexcept;
// Calls function(argument) on the stack that ends at `top` (16-byte aligned); an unwinder finds the caller's.
void turnkey_call_on(void* top, void (*function)(void*), void* argument) noexcept;
// Calls function(argument) on the current stack, but so that an unwinder takes the switched-out stack `saved` for its
// caller's. Nobody may switch to that stack meanwhile.
void turnkey_call_as(const void* saved, void (*function)(void*), void* argument) noexcept;
}

namespace turnkey::platform {

// Prepares the stack that ends at `top` (16-byte aligned) so that the first switch to the result calls entry(argument).
void* make_stack(void* top, void (*entry)(void*), void* argument) noexcept;

// Where a switched-out stack would go on: for printing its stack.
struct suspended_frame {
  const void* instruction;
  const void* frame;
};
suspended_frame frame_of(const void* saved) noexcept;

// The part of the C++ runtime's state that belongs to a thread of control: __cxa_eh_globals (what is being thrown and
// caught), 16 bytes by the Itanium ABI.
struct exception_state {
  void* caught = nullptr;
  std::uint64_t uncaught = 0;  // an unsigned int and its padding
};
// The calling OS thread's own copy. Look it up anew after every switch.
exception_state* thread_exception_state() noexcept;

}  // namespace turnkey::platform
