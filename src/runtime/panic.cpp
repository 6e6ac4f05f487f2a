// The ends of goroutines that went wrong; see panic.hpp.
#include "runtime/panic.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <typeinfo>

#include "parking/control.hpp"
#include "platform/report.hpp"
#include "platform/stack_memory.hpp"
#include "runtime/goroutine_pool.hpp"

namespace turnkey::runtime {

namespace {

std::terminate_handler previous_terminate = nullptr;

// `panic: <what()>`, as Go words it; for an exception that is no std::exception, its type.
void describe_exception(platform::text& out) noexcept {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    out << "std::terminate called";
    return;
  }
  try {
    throw;
  } catch (const std::exception& e) {
    out << e.what();
  } catch (const char* words) {
    out << words;
  } catch (...) {
    int status = 0;
    char* const name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    out << "exception of type " << (name != nullptr ? name : type->name());
    std::free(name);  // which is how __cxa_demangle has allocated it
  }
}

[[noreturn]] void on_terminate() noexcept {
  const parking::control* const self = parking::current_control;
  if (self == nullptr || self->is_thread()) {
    if (previous_terminate != nullptr) previous_terminate();
    std::abort();
  }
  platform::text& out = platform::begin_fatal();
  out << "panic: ";
  describe_exception(out);
  out << "\n\n";
  self->describe(out);
  out << " [running]:\n";
  out.stack();
  platform::end_fatal(out);
}

void check_overflow(const void* address) noexcept {
  const goroutine* const g = goroutine_pool::find_overflow(address);
  if (g == nullptr) return;
  platform::text& out = platform::begin_fatal();
  out << "fatal error: stack overflow\n\n";
  g->describe(out);
  out << " [running]:\n    its stack of " << std::uint64_t{goroutine_pool::stack_size(*g) >> 10}
      << " KiB is full; goroutine_options::stack_size makes it larger\n";
  out.stack();
  platform::end_fatal(out);
}

}  // namespace

void panic::install() noexcept {
  previous_terminate = std::set_terminate(on_terminate);
  platform::install_fault_handler(check_overflow);
}

}  // namespace turnkey::runtime
