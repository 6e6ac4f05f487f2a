// The public functions of turnkey/go.hpp.
#include <turnkey/go.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include "parking/tracing.hpp"
#include "parking/waiter.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/thread.hpp"
#include "runtime/goroutine_pool.hpp"
#include "runtime/launcher.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/worker.hpp"

namespace turnkey {

namespace runtime {

void launcher::require_scheduler(const char* complaint) {
  if (!scheduler::is_started() && !scheduler::start()) [[unlikely]]
    throw std::system_error(EAGAIN, std::generic_category(), complaint);
}

goroutine* launcher::make(const goroutine_options* options, std::size_t size, std::size_t align, void (*run)(void*),
                          const void* site) {
  constexpr std::size_t largest = std::size_t{1} << 30;
  if (options != nullptr && options->stack_size > largest) {
    throw std::invalid_argument("turnkey::go: stack_size " + std::to_string(options->stack_size) +
                                " is above 1 GiB (1073741824)");
  }
  require_scheduler("turnkey::go: cannot start a worker thread");
  worker* const here = worker::current();
  goroutine* const g = goroutine_pool::take_record(here != nullptr ? &here->pool_ : nullptr);
  if (g == nullptr) throw std::bad_alloc();
  g->run_ = run;
  g->has_started_ = false;
  g->stack_class_ = options != nullptr ? goroutine_pool::class_of(options->stack_size) : goroutine_pool::default_class;
  g->exceptions_ = {};
  g->creation_site_ = site;
  g->creator_ = here != nullptr && here->running() != nullptr ? here->running()->id() : 0;
  g->name_length_ = 0;
  if (options != nullptr) set_name(*g, options->name);
  const std::size_t used = g->name_length_ != 0 ? goroutine::name_size : 0;
  // Under ThreadSanitizer the callable is allocated: it then knows that the next one at that place is another.
  g->is_callable_allocated_ = size > goroutine::room_size - used || align > 16 || platform::is_tsan;
  if (g->is_callable_allocated_) {
    align = std::max<std::size_t>(align, 16);
    g->callable_alignment_ = static_cast<std::uint8_t>(std::countr_zero(align));
    try {
      g->callable_ = ::operator new (size, std::align_val_t{align});
    } catch (...) {
      goroutine_pool::give_record(*g, nullptr);
      throw;
    }
  } else {
    g->callable_ = g->room_.data() + used;
  }
  return g;
}

void launcher::discard(goroutine& g) noexcept {
  if (g.is_callable_allocated_) {
    ::operator delete (g.callable_, std::align_val_t{std::size_t{1} << g.callable_alignment_});
  }
  worker* const here = worker::current();
  goroutine_pool::give_record(g, here != nullptr ? &here->pool_ : nullptr);
}

void launcher::release(goroutine& g) noexcept { platform::tsan_release(g.callable_); }

void launcher::start(goroutine& g) noexcept {
  worker* const here = worker::current();
  const std::uint32_t index = g.index_ < goroutine::max_token_index ? g.index_ + 1 : 0;
  g.set_token(index == 0 ? 0 : (g.generation_ & parking::generation_mask) << 21 | index);
  g.id_.store(scheduler::new_id(here), std::memory_order_relaxed);
  // order: release -- pairs with load_status(): a report sees all of the above.
  g.status_.store(goroutine::status::runnable, std::memory_order_release);
  scheduler::count_start(here);
  if (const parking::tracer* const tracing = parking::trace()) [[unlikely]]
    tracing->created(g);
  g.resume();
  if (here != nullptr) scheduler::notify();
}

void launcher::set_name(goroutine& g, std::string_view name) noexcept {
  // A 0 in the name ends it.
  const std::size_t length = std::min({name.size(), name.find('\0'), goroutine::name_size - 1});
  g.name_length_ = static_cast<std::uint8_t>(length);
  if (length == 0) return;
  // By hand, for ThreadSanitizer: a library call would be seen to write what another goroutine's start has written.
  volatile auto* const to = reinterpret_cast<char*>(g.room_.data());
  for (std::size_t i = 0; i < length; ++i) to[i] = name[i];
  to[length] = 0;
}

}  // namespace runtime

using runtime::launcher;
using runtime::scheduler;
using runtime::worker;

goroutine_launch::goroutine_launch(const void* site, const goroutine_options* options, std::size_t size,
                                   std::size_t align, void (*run)(void*)) {
  runtime::goroutine* const g = launcher::make(options, size, align, run, site);
  goroutine_ = g;
  room_ = launcher::room(*g);
}

goroutine_launch::~goroutine_launch() {
  if (goroutine_ != nullptr) launcher::discard(*static_cast<runtime::goroutine*>(goroutine_));
}

void goroutine_launch::start() noexcept {
  auto& g = *static_cast<runtime::goroutine*>(goroutine_);
  launcher::release(g);
  launcher::start(g);
  goroutine_ = nullptr;
}

void goroutine_launch::refuse_null_function() noexcept { platform::fatal("go of nil func value"); }

int max_procs() noexcept { return scheduler::max_procs(); }

int set_max_procs(int n) {
  if (n < 1 || n > scheduler::max_procs_limit) {
    throw std::invalid_argument("turnkey::set_max_procs: " + std::to_string(n) + " is not between 1 and " +
                                std::to_string(scheduler::max_procs_limit));
  }
  return scheduler::set_max_procs(n);
}

std::size_t num_goroutines() noexcept { return scheduler::num_goroutines(); }

blocking_scope::blocking_scope() noexcept : worker_(nullptr) {
  worker* const here = worker::current();
  if (here != nullptr && scheduler::enter_blocking(*here)) worker_ = here;
}

blocking_scope::~blocking_scope() {
  worker* const here = worker::current();
  // A wait inside has ended the state, and may have moved the goroutine: then there is nothing to leave.
  if (worker_ == nullptr || here != worker_ || !here->is_blocked()) return;
  scheduler::leave_blocking(*here);
  scheduler::yield_if_surplus(*here);
}

namespace this_goroutine {

void yield() noexcept {
  if (worker* const here = worker::current()) {
    here->yield();
  } else {
    platform::yield_thread();
  }
}

std::uint64_t get_id() noexcept {
  const worker* const here = worker::current();
  return here != nullptr && here->running() != nullptr ? here->running()->id() : 0;
}

bool sleep_within(const wait_limit& limit) noexcept {
  if (limit.watch() != nullptr && limit.watch()->is_raised()) return false;
  if (limit.deadline() <= 0) return true;
  parking::waiter w(parking::reason::sleep, nullptr);
  w.wait(limit);
  return limit.watch() == nullptr || !limit.watch()->is_raised();
}

}  // namespace this_goroutine

}  // namespace turnkey
