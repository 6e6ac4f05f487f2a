// A goroutine as a thread of control; how it parks and goes on is in switching.cpp.
#include "runtime/goroutine.hpp"

#include "platform/cpu.hpp"
#include "runtime/scheduler.hpp"

namespace turnkey::runtime {

std::int64_t goroutine::spin_time() const noexcept {
  // A goroutine polls briefly, if the lock's holder may be running on another worker; then its worker has better to do.
  return platform::is_multiprocessor() && scheduler::max_procs() > 1 ? 1'000 : 0;
}

void goroutine::describe(platform::text& out) const noexcept {
  out << "goroutine " << id();
  if (name_length_ != 0) out << " \"" << name() << '"';
}

}  // namespace turnkey::runtime
