// Reports: the one fatal path, and text without allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnkey::platform {

struct stack_frames;  // platform/stack_trace.hpp
struct short_stack;

// A text that grows in a large static or mapped buffer; what does not fit is cut, with a line that says so. One that has a
// drain gives it what it holds whenever the buffer is full, and at flush(). Async-signal-safe, allocates nothing.
class text {
 public:
  using drain_function = void (*)(void* to, std::string_view piece) noexcept;

  constexpr text(char* buffer, std::size_t capacity) noexcept : buffer_(buffer), capacity_(capacity) {}
  constexpr text(char* buffer, std::size_t capacity, drain_function drain, void* to) noexcept
      : buffer_(buffer), capacity_(capacity), drain_(drain), drain_to_(to) {}
  text(const text&) = delete;
  text& operator=(const text&) = delete;

  text& operator<<(std::string_view piece) noexcept;
  text& operator<<(const char* piece) noexcept;
  text& operator<<(char c) noexcept;
  text& operator<<(std::int64_t number) noexcept;
  text& operator<<(std::uint64_t number) noexcept;
  text& operator<<(int number) noexcept { return *this << static_cast<std::int64_t>(number); }
  text& operator<<(const void* address) noexcept;  // 0x...
  // A span of time for people: "0.4 ms", "12.4 s", "3 min 5 s".
  text& duration(std::int64_t nanoseconds) noexcept;
  // The calling thread's stack, or that which starts at these registers, one frame a line: function, then place.
  text& stack() noexcept;
  text& stack_from(const void* instruction, const void* frame) noexcept;
  // The stack of a goroutine that turnkey_switch() switched out and that nobody takes up meanwhile. Better than
  // stack_from(): it finds its way through code without frame pointers.
  text& stack_of(const void* saved) noexcept;
  // A stack that was taken before.
  text& stack_at(const stack_frames& frames) noexcept;
  text& stack_at(const short_stack& frames) noexcept;
  // The function at a return address, and the place of its call, as a line of a stack has them.
  text& caller_at(const void* return_address) noexcept;

  void flush() noexcept;

  [[nodiscard]] std::string_view view() const noexcept { return {buffer_, size_}; }

 private:
  char* buffer_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  bool is_cut_ = false;
  drain_function drain_ = nullptr;
  void* drain_to_ = nullptr;
};

// The fatal path. Begin once: the first caller in the process gets the text to write into, any other thread that comes
// later sleeps for ever (the process is about to end), and the same thread coming again (a fault in the report itself)
// ends the process at once. Then end_fatal() delivers the report and ends the process with status 2.
//   text& report = begin_fatal();  report << "fatal error: ..." << '\n';  end_fatal(report);
text& begin_fatal() noexcept;
[[noreturn]] void end_fatal(text& report) noexcept;

// Ends the process as end_fatal() does.
[[noreturn]] void end_program() noexcept;

// Has `hook` called, once, when the process ends by a fatal error or a SIGQUIT, after the report: it should not use much
// stack, must not allocate or wait, and if it faults, that is its end. One hook: the last.
void at_fatal_end(void (*hook)() noexcept) noexcept;

// The usual fatal error: "fatal error: <message>", then what describe_current (below) says of the caller, its stack.
[[noreturn]] void fatal(std::string_view message) noexcept;

// Writes who the calling thread of control is: `goroutine 7 "writer" [running]:` or `thread 4711 [running]:`. Set by
// parking, which knows; platform does not.
using describe_function = void (*)(text&) noexcept;
extern describe_function describe_current;

// To stderr, all of it.
void write_error(std::string_view content) noexcept;
// One line on stderr, whole, for what does not end the program: "turnkey: <message>".
void warn(std::string_view message) noexcept;

// Around what a fault handler does. Reports made there flush no standard output, which others do first: what the fault
// interrupted may be a call of stdio. And their stacks start where the fault was.
void enter_fault_handler() noexcept;
void leave_fault_handler() noexcept;
[[nodiscard]] bool is_in_fault_handler() noexcept;

using fatal_handler = void (*)(std::string_view);
fatal_handler set_fatal_handler(fatal_handler handler) noexcept;

}  // namespace turnkey::platform
