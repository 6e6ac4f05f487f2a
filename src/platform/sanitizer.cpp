#include "platform/sanitizer.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/stack_memory.hpp"

// What the runtimes of the sanitizers offer. Weak: null where the program runs without them.
// NOLINTBEGIN(bugprone-reserved-identifier): the names are theirs
extern "C" {
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_set_fiber_name(void* fiber, const char* name);
[[gnu::weak]] void AnnotateIgnoreReadsBegin(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreReadsEnd(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreWritesBegin(const char* file, int line);
[[gnu::weak]] void AnnotateIgnoreWritesEnd(const char* file, int line);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake, const void* bottom, std::size_t size);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake, const void** old_bottom, std::size_t* old_size);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* base, std::size_t size);
[[gnu::weak]] void __lsan_register_root_region(const void* base, std::size_t size);
[[gnu::weak]] void __lsan_unregister_root_region(const void* base, std::size_t size);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace turnkey::platform {

constinit const presence<void(void*)> is_tsan{&__tsan_acquire};
constinit const presence<void(const volatile void*, std::size_t)> is_asan{&__asan_unpoison_memory_region};

// --- valgrind ------------------------------------------------------------------------------------------------------

namespace {

enum valgrind_request : std::uintptr_t {
  running_on_valgrind = 0x1001,
  stack_register = 0x1501,
  stack_deregister = 0x1502,
};

// A sequence of instructions that does nothing, and that valgrind knows for a request.
std::uintptr_t ask_valgrind(valgrind_request request, std::uintptr_t first = 0, std::uintptr_t second = 0) noexcept {
  volatile std::uintptr_t arguments[6] = {request, first, second, 0, 0, 0};
  std::uintptr_t answer = 0;
#if defined(__x86_64__)
  asm volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
               : "+d"(answer)
               : "a"(&arguments[0])
               : "cc", "memory");
#elif defined(__aarch64__)
  asm volatile(
      "mov x3, %1; mov x4, %2\n\t"
      "ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10\n\t"
      "mov %0, x3"
      : "=r"(answer)
      : "r"(std::uintptr_t{0}), "r"(&arguments[0])
      : "cc", "memory", "x3", "x4");
#endif
  return answer;
}

}  // namespace

bool is_valgrind() noexcept {
  static const bool answer = ask_valgrind(running_on_valgrind) != 0;
  return answer;
}

// --- ThreadSanitizer's order ---------------------------------------------------------------------------------------

void tsan_release_slow(void* address) noexcept { __tsan_release(address); }
void tsan_acquire_slow(void* address) noexcept { __tsan_acquire(address); }

tsan_edge::tsan_edge() noexcept : cell_(is_tsan ? std::malloc(sizeof(std::uint64_t)) : nullptr) {}
tsan_edge::~tsan_edge() {
  if (cell_ != nullptr) std::free(cell_);
}

tsan_ignore::tsan_ignore() noexcept {
  if (!is_tsan || AnnotateIgnoreReadsBegin == nullptr) return;
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
tsan_ignore::~tsan_ignore() {
  if (!is_tsan || AnnotateIgnoreReadsBegin == nullptr) return;
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

// --- ThreadSanitizer's fibers --------------------------------------------------------------------------------------
//
// A fiber that runs one goroutine after the other orders them, and so hides races between them. But to make one takes
// GCC 12's runtime 0.3 to 2.5 ms (later ones: a few us), and what one fiber did to a stack and the next one does to it
// unordered is a race in TSan's eyes, until the stack's memory is mapped anew. So: a fiber for every goroutine where
// they are quick to make, else one for every stack.

namespace {

bool are_fibers_quick() noexcept {
  static const bool answer = [] {
    constexpr std::int64_t quick = 50'000;
    constexpr int tries = 3;
    std::int64_t least = no_deadline;
    for (int i = 0; i < tries; ++i) {
      const std::int64_t start = now();
      void* const fiber = __tsan_create_fiber(0);
      least = std::min(least, now() - start);
      __tsan_destroy_fiber(fiber);
    }
    return least < quick;
  }();
  return answer;
}

// Makes TSan forget who used [base, base + size), which is whole pages: its runtime watches mmap. That mmap is a write
// of this thread's, though, unless it is told to ignore it.
bool map_anew(void* base, std::size_t size) noexcept {
  const tsan_ignore ignore;
  void* const mapped =
      mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (mapped == MAP_FAILED) return false;
  madvise(base, size, MADV_NOHUGEPAGE);
  return true;
}

void renew_fiber(sanitizer_stack& stack) noexcept {
  char* const base = static_cast<char*>(const_cast<void*>(stack.bottom));
  if (reinterpret_cast<std::uintptr_t>(base) % page_size != 0) return;
  // Somebody else's data may share the last page.
  const std::size_t rest = (page_size - stack.size % page_size) % page_size;
  char kept[page_size];
  {
    const tsan_ignore ignore;
    std::memcpy(kept, base + stack.size, rest);
  }
  if (!map_anew(base, stack.size + rest)) return;
  {
    const tsan_ignore ignore;
    std::memcpy(base + stack.size, kept, rest);
  }
  __tsan_destroy_fiber(stack.fiber);
  stack.fiber = __tsan_create_fiber(0);
}

}  // namespace

// --- stacks --------------------------------------------------------------------------------------------------------

void adopt_stack(sanitizer_stack& stack, void* lowest_usable, std::size_t size) noexcept {
  stack.bottom = lowest_usable;
  stack.size = size;
  if (is_tsan) stack.fiber = __tsan_create_fiber(0);
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(lowest_usable, size);
  if (is_valgrind()) {
    const auto base = reinterpret_cast<std::uintptr_t>(lowest_usable);
    stack.valgrind_id = static_cast<unsigned>(ask_valgrind(stack_register, base, base + size));
  }
}

void adopt_report_stack(void* lowest, std::size_t size) noexcept {
  if (!is_valgrind()) return;
  const auto base = reinterpret_cast<std::uintptr_t>(lowest);
  ask_valgrind(stack_register, base, base + size);
}

void disown_stack(sanitizer_stack& stack) noexcept {
  if (stack.fiber != nullptr) __tsan_destroy_fiber(stack.fiber);
  if (__lsan_unregister_root_region != nullptr) __lsan_unregister_root_region(stack.bottom, stack.size);
  if (is_valgrind()) ask_valgrind(stack_deregister, stack.valgrind_id);
  stack = {};
}

void adopt_thread_stack(sanitizer_stack& stack) noexcept {
  if (is_tsan) stack.fiber = __tsan_get_current_fiber();
  if (!is_asan) return;  // nobody else asks, and finding the bounds may read files
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void* bottom = nullptr;
  pthread_attr_getstack(&attributes, &bottom, &stack.size);
  pthread_attr_destroy(&attributes);
  stack.bottom = bottom;
}

void name_stack(sanitizer_stack& stack, const char* name) noexcept {
  if (stack.fiber != nullptr) __tsan_set_fiber_name(stack.fiber, name);
}

void before_switch_slow(void** fake, const sanitizer_stack& to, bool ends) noexcept {
  // ASan frees the fake frames of a stack that ends.
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(ends ? nullptr : fake, to.bottom, to.size);
  }
  constexpr unsigned no_order = 1;  // a switch by itself orders nothing: see API.md, "what happens before what"
  if (is_tsan) __tsan_switch_to_fiber(to.fiber, no_order);
}

void after_switch_slow(void* fake) noexcept {
  if (__sanitizer_finish_switch_fiber != nullptr) __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void clean_stack(sanitizer_stack& stack) noexcept {
  if (is_asan) __asan_unpoison_memory_region(stack.bottom, stack.size);
  if (stack.fiber != nullptr && are_fibers_quick()) renew_fiber(stack);
}

void add_leak_root(const void* base, std::size_t size) noexcept {
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(base, size);
}

}  // namespace turnkey::platform
