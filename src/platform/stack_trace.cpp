// The stacks in reports - text::stack, stack_of and stack_from - and those that are counted (stack_trace.hpp).
//
// Unwinding and looking up names take more room than is left on the stack of a goroutine that has just found a mistake,
// or of a signal handler. So both run on a stack of their own, one thread at a time.
#include "platform/stack_trace.hpp"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"
#include "platform/switch.hpp"
#include "platform/symbol.hpp"
#include "platform/thread.hpp"

namespace turnkey::platform {

namespace {

constexpr std::size_t report_stack_size = std::size_t{1} << 20;

// --- one at a time -------------------------------------------------------------------------------------------------

std::atomic<std::int32_t> tracer{0};  // the thread that uses what follows, or 0
constinit char* tracer_stack = nullptr;

// False if that thread does not get done, or is this one.
bool begin_trace() noexcept {
  constexpr std::int64_t patience = 2'000'000'000;
  const std::int64_t deadline = now() + patience;
  for (;;) {
    std::int32_t holder = 0;
    // order: acquire -- pairs with end_trace(): what the last one remembered of symbols is seen.
    if (tracer.compare_exchange_weak(holder, thread_id(), std::memory_order_acquire, std::memory_order_relaxed)) break;
    if (holder == thread_id() || now() > deadline) return false;
    yield_thread();
  }
  if (tracer_stack == nullptr) {
    char* const memory = static_cast<char*>(map_memory(report_stack_size, pages::small));
    if (memory != nullptr) {
      adopt_report_stack(memory, report_stack_size);
      tracer_stack = memory + report_stack_size;
    }
  }
  return true;
}

// order: release -- pairs with begin_trace().
void end_trace() noexcept { tracer.store(0, std::memory_order_release); }

struct job {
  text* to;
  trace frames;
  const void* saved = nullptr;
};

}  // namespace

// --- printing ------------------------------------------------------------------------------------------------------

bool is_internal(std::string_view name) noexcept {
  if (name.starts_with("turnkey_")) return true;
  for (const std::string_view prefix : {"_ZN7turnkey", "_ZNK7turnkey", "_ZZN7turnkey"}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    for (const std::string_view inside :
         {"8platform", "7parking", "7runtime", "4data", "11diagnostics", "13lock_protocol", "16channel_protocol",
          "12channel_core", "15select_protocol", "11select_core", "9map_guard"}) {
      if (rest.starts_with(inside)) return true;
    }
  }
  return false;
}

namespace {

void print(text& to, const trace& found) noexcept {
  bool is_leading = true;
  for (int i = 0; i < found.count; ++i) {
    const symbol function = find_symbol(found.frames[i]);
    const std::string_view name = function.name != nullptr ? function.name : "";
    is_leading = is_leading && is_internal(name);
    if (is_leading) continue;
    if (name == "turnkey_start" || name == "_ZN7turnkey7runtime6worker14goroutine_mainEPv") return;
    to << "    ";
    if (function.name != nullptr) {
      demangle(to, function.name);
    } else {
      to << "??";
    }
    to << "    ";
    if (function.module != nullptr) to << function.module << '+';
    to << reinterpret_cast<const void*>(function.offset) << '\n';
    if (name == "main") return;  // what is below is the same for every program
  }
  if (!found.is_complete) to << "    ...\n";
}

// For a trace that cannot have the symbols.
void print_addresses(text& to, const trace& found) noexcept {
  for (int i = 0; i < found.count; ++i) to << "    " << reinterpret_cast<const void*>(found.frames[i]) << '\n';
}

// --- finding frames ------------------------------------------------------------------------------------------------

_Unwind_Reason_Code add_frame(_Unwind_Context* context, void* raw) noexcept {
  auto& found = *static_cast<trace*>(raw);
  int is_exact = 0;
  const std::uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);
  if (address == 0) return _URC_END_OF_STACK;
  // A return address belongs to the line after the call; the address that a signal interrupted is exact.
  if (is_exact == 0) return found.add(address - 1) ? _URC_NO_REASON : _URC_END_OF_STACK;
  if (is_in_fault_handler()) found.count = 0;
  return found.add(address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void unwind(void* raw) noexcept { _Unwind_Backtrace(add_frame, &static_cast<job*>(raw)->frames); }

void unwind_and_print(void* raw) noexcept {
  auto& work = *static_cast<job*>(raw);
  if (work.saved != nullptr) {
    turnkey_call_as(work.saved, unwind, raw);
  } else {
    unwind(raw);
  }
  print(*work.to, work.frames);
}

void print_found(void* raw) noexcept { print(*static_cast<job*>(raw)->to, static_cast<job*>(raw)->frames); }

void run(void (*function)(void*), void* argument) noexcept {
  if (tracer_stack != nullptr) {
    turnkey_call_on(tracer_stack, function, argument);
  } else {
    function(argument);
  }
}

// Two words at an address that may be anything; false if there is no memory.
bool read_words(std::uintptr_t address, std::uintptr_t (&words)[2]) noexcept {
  iovec to{.iov_base = words, .iov_len = sizeof words};
  iovec from{.iov_base = reinterpret_cast<void*>(address), .iov_len = sizeof words};
  const int error = errno;
  const ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
  bool is_read = got == static_cast<ssize_t>(sizeof words);
  // Where a sandbox forbids that call: there is a page, at least.
  if (got < 0 && errno != EFAULT && address % page_size <= page_size - sizeof words) {
    unsigned char residency = 0;
    is_read = mincore(reinterpret_cast<void*>(address / page_size * page_size), page_size, &residency) == 0;
    if (is_read) std::memcpy(words, reinterpret_cast<const void*>(address), sizeof words);
  }
  errno = error;
  return is_read;
}

void walk_frame_pointers(trace& found, std::uintptr_t instruction, std::uintptr_t frame) noexcept {
  constexpr std::uintptr_t longest_frame = std::uintptr_t{1} << 20;
  constexpr std::uintptr_t least_address = 0x10000;
  constexpr std::uintptr_t end_of_user_space = std::uintptr_t{1} << 47;
  // Code without frame pointers uses their register for anything: believe nothing.
  while (found.add(instruction - 1)) {
    std::uintptr_t words[2];
    if (frame % sizeof(void*) != 0 || frame < least_address || frame >= end_of_user_space) return;
    if (!read_words(frame, words)) return;
    const std::uintptr_t next = words[0];
    instruction = words[1];
    if (instruction < least_address || instruction >= end_of_user_space) return;
    if (next <= frame || next - frame > longest_frame) {
      found.add(instruction - 1);
      return;
    }
    frame = next;
  }
}

}  // namespace

void take_trace(trace& found) noexcept { _Unwind_Backtrace(add_frame, &found); }

bool run_with_symbols(void (*work)(void*), void* argument) noexcept {
  if (!begin_trace()) return false;
  run(work, argument);
  end_trace();
  return true;
}

text& text::stack() noexcept { return stack_of(nullptr); }

text& text::stack_of(const void* saved) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = {}, .saved = saved};
  if (begin_trace()) {
    run(unwind_and_print, &work);
    end_trace();
    return *this;
  }
  if (saved != nullptr) {
    turnkey_call_as(saved, unwind, &work);
  } else {
    unwind(&work);
  }
  print_addresses(*this, work.frames);
  return *this;
}

text& text::stack_from(const void* instruction, const void* frame) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = {}};
  walk_frame_pointers(work.frames, reinterpret_cast<std::uintptr_t>(instruction),
                      reinterpret_cast<std::uintptr_t>(frame));
  if (begin_trace()) {
    run(print_found, &work);
    end_trace();
  } else {
    print_addresses(*this, work.frames);
  }
  return *this;
}

}  // namespace turnkey::platform
