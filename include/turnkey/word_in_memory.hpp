// turnkey/word_in_memory.hpp -- looks at a word in memory and adds to it, each in one instruction. Not for direct use.
//
// Nothing here is atomic, or orders what other threads see. But the compiler leaves each call where it is, and joins none with
// another; and to look is no barrier: what it knows of the rest of memory it still knows.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey::platform {

#ifdef __x86_64__

// In assembly, since a volatile access is a load, a comparison and a branch to GCC, and a sum a register that is then stored.

// Whether `word`, as a signed number, is `least` or more now.
inline bool is_at_least_now(const std::uint32_t& word, std::int32_t least) noexcept {
  bool is_so;
  asm volatile("cmpl %[least], %[word]" : "=@ccge"(is_so) : [word] "m"(word), [least] "ri"(least));
  return is_so;
}

// Whether `word` is `value` now.
inline bool is_now(const std::uint32_t& word, std::uint32_t value) noexcept {
  bool is_so;
  asm volatile("cmpl %[value], %[word]" : "=@cce"(is_so) : [word] "m"(word), [value] "ri"(value));
  return is_so;
}

// Adds `value` to `word`; false if the sum, as a signed number, is negative. A barrier for the compiler: what the program does
// before and after stays there.
inline bool add_now(std::uint32_t& word, std::uint32_t value) noexcept {
  bool is_so;
  asm volatile("addl %[value], %[word]" : "=@ccns"(is_so), [word] "+m"(word) : [value] "ri"(value) : "memory");
  return is_so;
}

#else  // the same, in more instructions

inline bool is_at_least_now(const std::uint32_t& word, std::int32_t least) noexcept {
  return static_cast<std::int32_t>(static_cast<const volatile std::uint32_t&>(word)) >= least;
}
inline bool is_now(const std::uint32_t& word, std::uint32_t value) noexcept {
  return static_cast<const volatile std::uint32_t&>(word) == value;
}
[[gnu::no_sanitize_thread]] inline bool add_now(std::uint32_t& word, std::uint32_t value) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  word += value;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return static_cast<std::int32_t>(word) >= 0;
}

#endif

}  // namespace turnkey::platform
