// Stacks: taking their frames, and text::stack and its like, which print them.
//
// Unwinding and looking up names take more room than is left on the stack of a goroutine that has just found a mistake,
// or of a signal handler. So both run on a stack of their own, one thread at a time.
#include <ucontext.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "platform/stack_trace.hpp"

#include "platform/clock.hpp"
#include "platform/report.hpp"
#include "platform/safe_read.hpp"
#include "platform/sanitizer.hpp"
#include "platform/source_line.hpp"
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
  text* to = nullptr;
  stack_frames frames;
  const void* saved = nullptr;
};

// --- printing ------------------------------------------------------------------------------------------------------

}  // namespace

// The library's own insides, which are where reports come from and waits end up. Its public functions are shown.
bool is_internal(std::string_view name) noexcept {
  if (name.starts_with("turnkey_") || name == "syscall") return true;
  for (const std::string_view prefix : {"_ZN7turnkey", "_ZNK7turnkey", "_ZZN7turnkey"}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    for (const std::string_view inside :
         {"8platform", "7parking", "7runtime", "4data", "11diagnostics", "13lock_protocol", "16channel_protocol",
          "12channel_core", "15select_protocol", "11select_core", "9map_guard", "5mutex11lock_within",
          "8rw_mutex11lock_within", "8rw_mutex18lock_shared_within", "8rw_mutex20lock_shared_disputed",
          "8rw_mutex22unlock_shared_disputed"}) {
      if (rest.starts_with(inside)) return true;
    }
  }
  return false;
}

namespace {

void print_place(text& to, const char* function, const source_line& place) noexcept {
  if (function != nullptr) {
    demangle(to, function);
  } else {
    to << "??";
  }
  to << "    " << place.file << ':' << place.line;
}

void print_symbol(text& to, const symbol& function) noexcept {
  if (function.name != nullptr) {
    demangle(to, function.name);
  } else {
    to << "??";
  }
  to << "    ";
  if (function.module != nullptr) to << function.module << '+';
  to << reinterpret_cast<const void*>(function.offset);
}

// The function that a goroutine starts in, with the user's inside or called by it.
bool is_launcher(const char* name) noexcept {
  return name != nullptr && std::string_view(name).starts_with("_ZZN7turnkey16goroutine_launch6launch");
}

// A line for the function, and one before it for each that was inlined into it.
void print_frame(text& to, const symbol& function, const source_lines& lines) noexcept {
  for (int i = 0; i + 1 < lines.count; ++i) {
    to << "    ";
    print_place(to, lines.at[i].function, lines.at[i]);
    to << '\n';
  }
  // What is the library's is left out if something of the user's was inlined there, and so is what called the user's
  // function if that is certain to be shown.
  if (lines.count > 1 && is_library_function(function.name)) return;
  if (lines.count == 1 && is_launcher(function.name)) return;
  to << "    ";
  if (lines.count != 0 && lines.at[lines.count - 1].file != nullptr) {
    const source_line& place = lines.at[lines.count - 1];
    print_place(to, function.name != nullptr ? function.name : place.function, place);
  } else {
    print_symbol(to, function);
  }
  to << '\n';
}

// The innermost only.
void print_caller(void* raw) noexcept {
  auto& work = *static_cast<job*>(raw);
  const symbol function = find_symbol(work.frames.at[0]);
  const source_lines& lines = find_source_lines(work.frames.at[0]);
  if (lines.count > 1 || (lines.count == 1 && lines.at[0].file != nullptr)) {
    print_place(*work.to, lines.count > 1 ? lines.at[0].function : function.name, lines.at[0]);
  } else {
    print_symbol(*work.to, function);
  }
}

void print(text& to, const stack_frames& found) noexcept {
  bool is_leading = true;
  for (int i = 0; i < found.count; ++i) {
    const symbol function = find_symbol(found.at[i]);
    const std::string_view name = function.name != nullptr ? function.name : "";
    is_leading = is_leading && is_internal(name);
    if (is_leading) continue;
    if (name == "turnkey_start" || name == "_ZN7turnkey7runtime6worker14goroutine_mainEPv") return;
    print_frame(to, function, find_source_lines(found.at[i]));
    if (name == "main") return;  // what is below is the same for every program
  }
  if (!found.is_complete) to << "    ...\n";
}

// For a trace that cannot have the symbols.
void print_addresses(text& to, const stack_frames& found) noexcept {
  for (int i = 0; i < found.count; ++i) to << "    " << reinterpret_cast<const void*>(found.at[i]) << '\n';
}

// --- finding frames ------------------------------------------------------------------------------------------------

_Unwind_Reason_Code add_frame(_Unwind_Context* context, void* raw) noexcept {
  auto& found = *static_cast<stack_frames*>(raw);
  int is_exact = 0;
  const std::uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);
  if (address == 0) return _URC_END_OF_STACK;
  // A return address belongs to the line after the call; the address that a signal interrupted is exact.
  if (is_exact == 0) return found.add(address - 1) ? _URC_NO_REASON : _URC_END_OF_STACK;
  if (is_in_fault_handler()) found.count = 0;
  return found.add(address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// The same in a handler, whose own frames are left out: what is innermost is what the signal has interrupted.
struct interrupted {
  stack_frames* found;
  bool is_below_handler = false;
};
_Unwind_Reason_Code add_interrupted_frame(_Unwind_Context* context, void* raw) noexcept {
  auto& state = *static_cast<interrupted*>(raw);
  int is_exact = 0;
  const std::uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);
  if (address == 0) return _URC_END_OF_STACK;
  state.is_below_handler = state.is_below_handler || is_exact != 0;
  if (!state.is_below_handler) return _URC_NO_REASON;
  return state.found->add(is_exact != 0 ? address : address - 1) ? _URC_NO_REASON : _URC_END_OF_STACK;
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

// Under begin_trace().
void run(void (*function)(void*), void* argument) noexcept {
  if (tracer_stack != nullptr) {
    turnkey_call_on(tracer_stack, function, argument);
  } else {
    function(argument);
  }
}

void walk_frame_pointers(stack_frames& found, std::uintptr_t instruction, std::uintptr_t frame) noexcept {
  constexpr std::uintptr_t longest_frame = std::uintptr_t{1} << 20;
  constexpr std::uintptr_t least_address = 0x10000;
  constexpr std::uintptr_t end_of_user_space = std::uintptr_t{1} << 47;
  // Code without frame pointers uses their register for anything: believe nothing.
  while (found.add(instruction - 1)) {
    std::uintptr_t words[2];
    if (frame % sizeof(void*) != 0 || frame < least_address || frame >= end_of_user_space) return;
    if (!read_safely(words, reinterpret_cast<const void*>(frame), sizeof words)) return;
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

// --- a stack that others may take up ---------------------------------------------------------------------------------

// The unwinder finds its way by what lies on the stack, so it must not see it change. It gets a copy, in which all that
// points into the stack points into the copy: words that only look like it do no harm there.
struct copy_job {
  stack_frames* to;
  const char* saved;
  std::size_t size;
  still_function is_still;
  void* argument;
  bool is_taken = false;
};

// Under begin_trace().
constinit char* copy_memory = nullptr;
constinit std::size_t copy_capacity = 0;

char* copy_of(const char* saved, std::size_t size) noexcept {
  // At the same place in a page, for code that aligns its frame.
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(saved) % page_size;
  const std::size_t needed = (offset + size + 2 * page_size - 1) / page_size * page_size;
  if (needed > copy_capacity) {
    if (copy_memory != nullptr) unmap_memory(copy_memory, copy_capacity);
    copy_memory = static_cast<char*>(map_memory(needed, pages::small));
    copy_capacity = copy_memory != nullptr ? needed : 0;
  }
  return copy_memory != nullptr ? copy_memory + offset : nullptr;
}

bool is_equal(const char* copy, const char* original, std::size_t size) noexcept {
  constexpr std::size_t step = 4096;
  alignas(8) char again[step];
  for (std::size_t at = 0; at < size; at += step) {
    const std::size_t part = size - at < step ? size - at : step;
    if (!read_safely(again, original + at, part) || __builtin_memcmp(again, copy + at, part) != 0) return false;
  }
  return true;
}

void relocate(char* copy, const char* original, std::size_t size) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(original);
  auto* const words = reinterpret_cast<std::uintptr_t*>(copy);
  for (std::size_t i = 0; i < size / sizeof *words; ++i) {
    if (words[i] - begin < size) words[i] += reinterpret_cast<std::uintptr_t>(copy) - begin;
  }
}

// Two reads that agree, between three looks that find nobody on the stack: if somebody has been there, then twice, and each
// time he left the same half of a change. Even so the unwinder could only be led astray: see catch_fault.
void copy_and_unwind(void* raw) noexcept {
  auto& work = *static_cast<copy_job*>(raw);
  char* const copy = copy_of(work.saved, work.size);
  if (copy == nullptr || !work.is_still(work.argument) || !read_safely(copy, work.saved, work.size) ||
      !work.is_still(work.argument) || !is_equal(copy, work.saved, work.size) || !work.is_still(work.argument)) {
    return;
  }
  relocate(copy, work.saved, work.size);
  job unwinding;
  sigjmp_buf escape;
  if (sigsetjmp(escape, 1) == 0) {
    catch_fault(&escape);
    turnkey_call_as(copy, unwind, &unwinding);
    work.is_taken = true;
  }
  catch_fault(nullptr);
  if (!work.is_taken) return;
  // Without the library's inside, where one may park in several ways: for the user it is the same stack.
  const stack_frames& all = unwinding.frames;
  int first = 0;
  while (first < all.count) {
    const symbol function = find_symbol(all.at[first]);
    if (!is_internal(function.name != nullptr ? function.name : "")) break;
    ++first;
  }
  work.to->is_complete = all.is_complete;
  for (work.to->count = 0; first < all.count; ++first) work.to->at[work.to->count++] = all.at[first];
}

}  // namespace

void take_own_frames(stack_frames& to) noexcept {
  const tsan_ignore ignore;
  job work;
  unwind(&work);
  to = work.frames;
}

void take_own_frames(short_stack& to) noexcept {
  const tsan_ignore ignore;
  job work;
  unwind(&work);
  to.count = std::min(work.frames.count, short_stack::most);
  std::copy_n(work.frames.at, to.count, to.at.begin());
}

bool run_with_symbols(void (*work)(void*), void* argument) noexcept {
  if (!begin_trace()) return false;
  run(work, argument);
  end_trace();
  return true;
}

// The unwinder in a handler: it takes no lock that the interrupted code may hold - tables are found by _dl_find_object(), or
// by dl_iterate_phdr(), whose lock is recursive - and does not allocate once it has been used. Code at any instruction is
// what its tables describe. Where there are none it stops. TSan's runtime may be interrupted where it must not be entered
// again, and it watches dl_iterate_phdr(); so under TSan frame pointers must do.
void take_interrupted_frames(stack_frames& to, const void* context) noexcept {
  to.count = 0;
  if (is_tsan) {
    const mcontext_t& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    const auto instruction = static_cast<std::uintptr_t>(registers.gregs[REG_RIP]);
    const auto frame = static_cast<std::uintptr_t>(registers.gregs[REG_RBP]);
#elif defined(__aarch64__)
    const std::uintptr_t instruction = registers.pc;
    const std::uintptr_t frame = registers.regs[29];
#endif
    walk_frame_pointers(to, instruction + 1, frame);
    return;
  }
  interrupted state{.found = &to};
  _Unwind_Backtrace(add_interrupted_frame, &state);
}

bool take_switched_frames(stack_frames& to, const void* saved, const void* top, still_function is_still,
                          void* argument) noexcept {
  constexpr std::size_t largest = std::size_t{1} << 30;
  constexpr std::size_t least = 192;  // the registers that are saved, and the mark at the end
  const auto begin = reinterpret_cast<std::uintptr_t>(saved);
  const auto end = reinterpret_cast<std::uintptr_t>(top);
  to.count = 0;
  if (saved == nullptr || top == nullptr || begin % 8 != 0 || end - begin > largest || end - begin < least)
    return false;
  const tsan_ignore ignore;
  copy_job work{.to = &to,
                .saved = static_cast<const char*>(saved),
                .size = (end - begin) / 8 * 8,
                .is_still = is_still,
                .argument = argument};
  return run_with_symbols(copy_and_unwind, &work) && work.is_taken;
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

text& text::stack_at(const stack_frames& frames) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = frames};
  if (!run_with_symbols(print_found, &work)) print_addresses(*this, work.frames);
  return *this;
}

text& text::stack_at(const short_stack& frames) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = {}};
  std::copy_n(frames.at.begin(), frames.count, work.frames.at);
  work.frames.count = frames.count;
  work.frames.is_complete = frames.count < short_stack::most;
  if (!run_with_symbols(print_found, &work)) print_addresses(*this, work.frames);
  return *this;
}

text& text::caller_at(const void* return_address) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = {}};
  work.frames.add(reinterpret_cast<std::uintptr_t>(return_address) - 1);
  if (!run_with_symbols(print_caller, &work)) *this << return_address;
  return *this;
}

text& text::stack_from(const void* instruction, const void* frame) noexcept {
  const tsan_ignore ignore;
  job work{.to = this, .frames = {}};
  walk_frame_pointers(work.frames, reinterpret_cast<std::uintptr_t>(instruction),
                      reinterpret_cast<std::uintptr_t>(frame));
  return stack_at(work.frames);
}

}  // namespace turnkey::platform
