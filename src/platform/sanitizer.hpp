// What sanitizers and valgrind must be told. All of it is found at run time, by weak symbols: the library is the same
// binary with and without them, and its own code is never instrumented by ThreadSanitizer - what TSan knows of the
// library's ordering is exactly what tsan_release and tsan_acquire say here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace turnkey::platform {

// Whether the program runs under a sanitizer: whether a function of its runtime is there. The linker knows; so it is
// true before any constructor runs.
template <typename Function>
struct presence {
  Function* function;
  constexpr operator bool() const noexcept { return function != nullptr; }
};
extern const presence<void(void*)> is_tsan;                              // ThreadSanitizer
extern const presence<void(const volatile void*, std::size_t)> is_asan;  // AddressSanitizer
bool is_valgrind() noexcept;

void tsan_release_slow(void* address) noexcept;
void tsan_acquire_slow(void* address) noexcept;

// What this thread of control did so far happens before what follows a tsan_acquire(address) that comes later.
inline void tsan_release(void* address) noexcept {
  if (is_tsan) [[unlikely]]
    tsan_release_slow(address);
}
inline void tsan_acquire(void* address) noexcept {
  if (is_tsan) [[unlikely]]
    tsan_acquire_slow(address);
}

// One edge between two threads of control, for an address that others use again (a stack node): under TSan an
// allocation of its own, else nothing.
class tsan_edge {
 public:
  tsan_edge() noexcept;
  ~tsan_edge();
  tsan_edge(const tsan_edge&) = delete;
  tsan_edge& operator=(const tsan_edge&) = delete;
  void release() noexcept {
    if (cell_ != nullptr) [[unlikely]]
      tsan_release_slow(cell_);
  }
  void acquire() noexcept {
    if (cell_ != nullptr) [[unlikely]]
      tsan_acquire_slow(cell_);
  }

 private:
  void* cell_;
};

// Memory accesses of this thread are not checked while one of these lives (for copies by intercepted functions).
class tsan_ignore {
 public:
  tsan_ignore() noexcept;
  ~tsan_ignore();
  tsan_ignore(const tsan_ignore&) = delete;
  tsan_ignore& operator=(const tsan_ignore&) = delete;
};

// A stack as the sanitizers see it. One per goroutine stack, and one per OS thread that switches (its own stack).
struct sanitizer_stack {
  void* fiber = nullptr;         // TSan's
  const void* bottom = nullptr;  // ASan: lowest address
  std::size_t size = 0;
  unsigned valgrind_id = 0;
};

// A goroutine stack came into being or goes away. Registers it with TSan (a fiber), LSan (a root region), valgrind.
void adopt_stack(sanitizer_stack& stack, void* lowest_usable, std::size_t size) noexcept;
void disown_stack(sanitizer_stack& stack) noexcept;
// A stack that turnkey_call_on() visits and leaves again: only valgrind must know.
void adopt_report_stack(void* lowest, std::size_t size) noexcept;
// The calling OS thread's own stack.
void adopt_thread_stack(sanitizer_stack& stack) noexcept;
// Names the goroutine in TSan's reports.
void name_stack(sanitizer_stack& stack, const char* name) noexcept;
// Around turnkey_switch. `fake` is a local variable of the one that switches out: it passes it to before_switch, and to
// after_switch when it runs again. `ends`: the switched-out stack will not be taken up again in this call chain.
void before_switch_slow(void** fake, const sanitizer_stack& to, bool ends) noexcept;
void after_switch_slow(void* fake) noexcept;
inline void before_switch(void** fake, const sanitizer_stack& to, bool ends) noexcept {
  if (is_asan || is_tsan) [[unlikely]]
    before_switch_slow(fake, to, ends);
}
inline void after_switch(void* fake) noexcept {
  if (is_asan) [[unlikely]]
    after_switch_slow(fake);
}
// A goroutine has ended on this stack, and another will use it: forgets what ASan has poisoned there. Under TSan, where
// its runtime makes fibers quickly, the next one gets a fiber of its own, so that it is not ordered behind this one;
// what the stack holds is lost then, and what shares its last page must not be in use by others meanwhile.
void clean_stack(sanitizer_stack& stack) noexcept;
// A pool that may hold the only pointer to user memory: LeakSanitizer must look into it.
void add_leak_root(const void* base, std::size_t size) noexcept;

}  // namespace turnkey::platform
