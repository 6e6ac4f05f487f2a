#include "platform/switch.hpp"

#include <cstddef>

// Declared here and not by <cxxabi.h>, where it is const: a compiler may then keep the answer across a switch, after
// which another thread may run this code.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is theirs
extern "C" void* __cxa_get_globals() noexcept;

namespace turnkey::platform {

namespace {

// A fresh stack starts behind turnkey_start's first instruction, a landing pad for indirect jumps: who unwinds the stack
// before it runs looks for the function one byte before the address.
constexpr std::uint64_t landing_pad = 4;

// What turnkey_switch leaves on a stack: the same as is drawn in switch_*.S.
#if defined(__x86_64__)

struct saved_registers {
  std::uint32_t mxcsr;
  std::uint32_t x87_control;
  std::uint64_t r15, r14, r13, r12, rbx, rbp, rip;

  [[gnu::always_inline]] void start(void (*entry)(void*), void* argument) noexcept {
    // As a new thread does, it starts with its maker's rounding mode and exception masks.
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    asm volatile("fnstcw %0" : "=m"(x87_control));
    r15 = r14 = rbx = rbp = 0;
    r12 = reinterpret_cast<std::uint64_t>(entry);
    r13 = reinterpret_cast<std::uint64_t>(argument);
    rip = reinterpret_cast<std::uint64_t>(&turnkey_start) + landing_pad;
  }
  [[nodiscard, gnu::always_inline]] std::uint64_t instruction() const noexcept { return rip; }
  [[nodiscard, gnu::always_inline]] std::uint64_t frame() const noexcept { return rbp; }
};
static_assert(sizeof(saved_registers) == 64);

#elif defined(__aarch64__)

struct saved_registers {
  std::uint64_t x29, x30;
  std::uint64_t x19_to_x28[10];
  std::uint64_t d8_to_d15[8];

  [[gnu::always_inline]] void start(void (*entry)(void*), void* argument) noexcept {
    x29 = 0;
    x19_to_x28[0] = reinterpret_cast<std::uint64_t>(entry);
    x19_to_x28[1] = reinterpret_cast<std::uint64_t>(argument);
    x30 = reinterpret_cast<std::uint64_t>(&turnkey_start) + landing_pad;
  }
  [[nodiscard, gnu::always_inline]] std::uint64_t instruction() const noexcept { return x30; }
  [[nodiscard, gnu::always_inline]] std::uint64_t frame() const noexcept { return x29; }
};
static_assert(sizeof(saved_registers) == 160);

#endif

// Two words of zero above the first frame: a frame and a return address, for who walks frames by hand.
constexpr std::size_t end_mark = 16;

}  // namespace

// Neither of these may be instrumented: to a sanitizer, a stack that is not running may be out of bounds. For the same
// reason they store and load by themselves and call no memcpy.
[[gnu::no_sanitize_address]] void* make_stack(void* top, void (*entry)(void*), void* argument) noexcept {
  auto* const end = reinterpret_cast<volatile std::uint64_t*>(static_cast<char*>(top) - end_mark);
  end[0] = 0;
  end[1] = 0;
  auto* const saved = reinterpret_cast<saved_registers*>(static_cast<char*>(top) - end_mark) - 1;
  saved->start(entry, argument);
  return saved;
}

[[gnu::no_sanitize_address]] suspended_frame frame_of(const void* saved) noexcept {
  const auto* const registers = static_cast<const saved_registers*>(saved);
  return {.instruction = reinterpret_cast<const void*>(registers->instruction()),
          .frame = reinterpret_cast<const void*>(registers->frame())};
}

[[gnu::noinline]] exception_state* thread_exception_state() noexcept {
  void* state = __cxa_get_globals();
  // Keeps the compiler from deriving that two calls return the same.
  asm volatile("" : "+r"(state));
  return static_cast<exception_state*>(state);
}

}  // namespace turnkey::platform
