// run_after: calls that are put off.
//
// The goroutine is reserved at once, with the function in it, and made ready when its time comes: firing needs no memory
// and runs nothing of the user's. An entry ties the timer, the goroutine and the handle together.
//
//   the timer is     who may touch goroutine and function
//   pending          whoever takes the timer out of the queue, under its shard's lock: stop() or the queue
//   stopped          the stop() that took it out: destroys the function and gives the goroutine back
//   fired            the goroutine
//
// Two hold the entry: the handle, and the timer; when it fires, the goroutine takes the timer's part over. The last one
// frees it. The queue itself never does, so nothing is freed under a shard's lock.
#include <turnkey/timer.hpp>

#include <algorithm>
#include <atomic>
#include <memory>

#include "channel/deadline.hpp"
#include "runtime/launcher.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/timer_queue.hpp"

namespace turnkey {

using runtime::launcher;
using runtime::scheduler;
using runtime::timer_queue;

struct delayed_call::entry final : runtime::timer {
  runtime::goroutine* goroutine = nullptr;
  std::size_t offset = 0;  // of the function in the goroutine's room, behind a pointer to this
  void (*run)(void*) = nullptr;
  void (*destroy)(void*) = nullptr;
  std::atomic<int> holders{2};

  [[nodiscard]] void* function() const noexcept { return static_cast<std::byte*>(launcher::room(*goroutine)) + offset; }

  // What the goroutine runs. No handler here: an exception that leaves the function must find none.
  static void begin(void* room) {
    entry* const mine = *static_cast<entry**>(room);
    void (*const run)(void*) = mine->run;
    void* const function = mine->function();
    release(mine);
    run(function);
  }
};

void delayed_call::release(entry* e) noexcept {
  // order: acq_rel -- release pairs with the acquire of the one who finds itself the last and frees the entry: nobody uses
  // it any more.
  if (e->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete e;
}

bool delayed_call::stop() noexcept {
  if (entry_ == nullptr || !timer_queue::cancel(*entry_)) return false;
  entry_->destroy(entry_->function());
  launcher::discard(*entry_->goroutine);
  release(entry_);
  return true;
}

delayed_launch::delayed_launch(const void* site, std::size_t size, std::size_t align, void (*run)(void*),
                               void (*destroy)(void*))
    : entry_(nullptr) {
  using entry = delayed_call::entry;
  const std::size_t offset = std::max(align, sizeof(entry*));
  auto made = std::make_unique<entry>();
  made->goroutine = launcher::make(nullptr, offset + size, std::max(align, alignof(entry*)), entry::begin, site);
  made->offset = offset;
  made->run = run;
  made->destroy = destroy;
  ::new (launcher::room(*made->goroutine)) entry*(made.get());
  entry_ = made.release();
}

delayed_launch::~delayed_launch() {
  if (entry_ == nullptr) return;
  launcher::discard(*entry_->goroutine);
  delete entry_;
}

void* delayed_launch::room() const noexcept { return entry_->function(); }

delayed_call delayed_launch::start(std::int64_t nanoseconds) {
  delayed_call::entry& e = *entry_;
  launcher::release(*e.goroutine);
  if (nanoseconds <= 0) {
    entry_ = nullptr;
    launcher::start(*e.goroutine);
    return delayed_call(&e);
  }
  const std::int64_t deadline = deadline_after(nanoseconds);
  e.deadline = deadline;
  e.shard = scheduler::timer_shard(&e);
  e.fire = [](runtime::timer& self, std::int64_t) noexcept {
    launcher::start(*static_cast<delayed_call::entry&>(self).goroutine);
    return platform::no_deadline;
  };
  if (!timer_queue::start(e)) {
    e.destroy(e.function());
    throw std::bad_alloc();
  }
  // From here on it may have fired; the handle's part keeps the entry.
  entry_ = nullptr;
  scheduler::note_timer(deadline);
  return delayed_call(&e);
}

}  // namespace turnkey
