// Restartable sequences: a compare and a plain store that are one step for every thread on the same CPU, and that
// fence_restartable() makes one step for all others too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace turnkey::platform {

// True once they can be used (Linux >= 5.10, glibc >= 2.35, x86-64, not under valgrind, TURNKEY_RSEQ is not "off").
// Set before main, and cleared by forgo_rseq(): whoever has begun a sequence then is still fenced.
[[gnu::visibility("hidden")]] extern std::atomic<bool> has_rseq;
void forgo_rseq() noexcept;
// True from when has_rseq first is, for good: whoever knows why that was cleared may begin one all the same.
[[gnu::visibility("hidden")]] extern bool is_rseq_registered;

// If word == expected, stores `desired`, with release order, by a plain store as its last step, and returns true.
// False if the word differs or the thread was interrupted. Only if is_rseq_registered.
bool restartable_store(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::uint32_t desired) noexcept;

// The same, and stores `behind` into the 32 bits that follow the word in memory, in one step with it. Nobody else may write
// those meanwhile. The word begins a multiple of 8 bytes.
bool restartable_store_pair(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::uint32_t desired,
                            std::uint32_t behind) noexcept;

// If `guard` is 0 and word == expected, stores `desired`, with release order, by a plain store as its last step, and returns true.
// False if one of them is something else, or the thread was interrupted. For words of 32 or 64 bits. Only if is_rseq_registered.
template <class T>
bool restartable_store_unless(const std::atomic<std::uint32_t>& guard, std::atomic<T>& word, T expected,
                              T desired) noexcept;

// If word has none of `flags`, adds to the calling CPU's cell of those that `cells` points to, with release order after an
// acquiring load of the word, and returns true. False if it has one, the thread was interrupted, or the CPU's number is not
// below `cpus`. CPU n's cell is n * per_cpu_stride bytes behind CPU 0's, to which `cells` points. Only if has_rseq was true once.
constexpr std::size_t per_cpu_stride = 4096;
template <class Cell>
bool restartable_add(const std::atomic<std::uint32_t>& word, std::uint32_t flags, Cell* const& cells,
                     const std::uint32_t& cpus, std::int32_t summand) noexcept;

// After this returns, every restartable_store and _add that had looked at its word before it began has either stored or
// will return false, and what it stored is seen. Does nothing where there have never been any. 10 to 20 us.
void fence_restartable() noexcept;

// --- implementation ------------------------------------------------------------------------------------------------

// Where the C library keeps a thread's struct rseq, from its thread pointer. Set before has_rseq.
[[gnu::visibility("hidden")]] extern std::ptrdiff_t rseq_offset;

// A section is announced by a pointer to its descriptor {version, flags, start, length, abort} in the thread's struct rseq,
// 8 bytes in; 4 bytes in is the number of the CPU. Should the kernel preempt the thread, send it a signal or fence it while
// it is between start and start + length, it goes on at the abort address, before which the signature that was registered
// must stand. The pointer stays when the section is left: the kernel clears it when it sees that the thread is elsewhere.
#define TURNKEY_RSEQ_BEGIN                         \
  ".pushsection __rseq_cs, \"aw?\", @progbits\n\t" \
  ".balign 32\n"                                   \
  "771:\n\t"                                       \
  ".long 0, 0\n\t"                                 \
  ".quad 772f, 773f - 772f, 774f\n\t"              \
  ".popsection\n\t"                                \
  "leaq 771b(%%rip), %%rax\n\t"                    \
  "movq %%rax, %%fs:8(%[offset])\n"                \
  "772:\n\t"
// After the store that ends it.
#define TURNKEY_RSEQ_END                                                               \
  "773:\n\t"                                                                           \
  ".pushsection .text.unlikely, \"ax?\", @progbits\n\t"                                \
  ".byte 0x0f, 0xb9, 0x3d\n\t" /* makes of the signature an instruction that faults */ \
  ".long 0x53053053\n"                                                                 \
  "774:\n\t"                                                                           \
  "jmp %l[failed]\n\t"                                                                 \
  ".popsection"

// Inline, because the whole of it is six instructions of an unlock. Word is 32 bits; Desired may be 64: see below.
template <class Desired>
inline bool restartable_store_of(std::atomic<std::uint32_t>& word, std::uint32_t expected, Desired desired) noexcept {
#if defined(__x86_64__)
  // order: release -- a plain x86 store is one, and the clobber keeps the compiler's hands off.
  asm goto(TURNKEY_RSEQ_BEGIN
           "cmpl %[expected], %[word]\n\t"
           "jne %l[failed]\n\t"
           "mov %[desired], %[word]\n" TURNKEY_RSEQ_END
           :
           : [offset] "r"(rseq_offset), [word] "m"(word), [expected] "r"(expected), [desired] "r"(desired)
           : "rax", "memory", "cc"
           : failed);
  return true;
failed:
  return false;
#else  // little-endian or not does not matter: nobody has it
  static_cast<void>(word);
  static_cast<void>(expected);
  static_cast<void>(desired);
  return false;
#endif
}

inline bool restartable_store(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              std::uint32_t desired) noexcept {
  return restartable_store_of(word, expected, desired);
}
inline bool restartable_store_pair(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::uint32_t desired,
                                   std::uint32_t behind) noexcept {
  return restartable_store_of(word, expected, std::uint64_t{behind} << 32 | desired);
}

template <class T>
inline bool restartable_store_unless(const std::atomic<std::uint32_t>& guard, std::atomic<T>& word, T expected,
                                     T desired) noexcept {
#if defined(__x86_64__)
  static_assert(sizeof(std::atomic<T>) == 4 || sizeof(std::atomic<T>) == 8);
  // order: release -- a plain x86 store is one. The guard is looked at first, so that the word is as who has cleared it left it.
  asm goto(TURNKEY_RSEQ_BEGIN
           "cmpl $0, %[guard]\n\t"
           "jne %l[failed]\n\t"
           "cmp %[expected], %[word]\n\t"
           "jne %l[failed]\n\t"
           "mov %[desired], %[word]\n" TURNKEY_RSEQ_END
           :
           : [offset] "r"(rseq_offset), [guard] "m"(guard), [word] "m"(word), [expected] "r"(expected),
             [desired] "r"(desired)
           : "rax", "memory", "cc"
           : failed);
  return true;
failed:
  return false;
#else
  static_cast<void>(guard);
  static_cast<void>(word);
  static_cast<void>(expected);
  static_cast<void>(desired);
  return false;
#endif
}

template <class Cell>
inline bool restartable_add(const std::atomic<std::uint32_t>& word, std::uint32_t flags, Cell* const& cells,
                            const std::uint32_t& cpus, std::int32_t summand) noexcept {
#if defined(__x86_64__)
  static_assert(per_cpu_stride == 1 << 12);
  // One instruction adds: nothing else runs on this CPU in the middle of it, and only this CPU adds to the cell.
  // order: acquire, release -- what plain x86 loads and stores are.
  asm goto(TURNKEY_RSEQ_BEGIN
           "testl %[flags], %[word]\n\t"
           "jnz %l[failed]\n\t"
           "movl %%fs:4(%[offset]), %%eax\n\t"
           "cmpl %[cpus], %%eax\n\t"
           "jae %l[failed]\n\t"
           "shlq $12, %%rax\n\t"
           "addq %[cells], %%rax\n\t"
           "addl %[summand], (%%rax)\n" TURNKEY_RSEQ_END
           :
           : [offset] "r"(rseq_offset), [word] "m"(word), [flags] "ri"(flags), [cells] "m"(cells), [cpus] "m"(cpus),
             [summand] "ri"(summand)
           : "rax", "memory", "cc"
           : failed);
  return true;
failed:
  return false;
#else
  static_cast<void>(word);
  static_cast<void>(flags);
  static_cast<void>(cells);
  static_cast<void>(cpus);
  static_cast<void>(summand);
  return false;
#endif
}

#undef TURNKEY_RSEQ_BEGIN
#undef TURNKEY_RSEQ_END

}  // namespace turnkey::platform
