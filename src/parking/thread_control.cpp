// OS threads as threads of control: their records, and sleeping in the kernel.
//
// Suspending: commit_park() publishes that a resume() is needed; then the thread sleeps while permit_ is 0. resume() sets
// the permit after the state has changed, so a thread that takes a permit and finds its waiter still parked has found
// one left over from an earlier wait (whose state it saw change before the permit came), and sleeps again.
#include "parking/thread_control.hpp"

#include <pthread.h>

#include "parking/hooks.hpp"
#include "parking/tracing.hpp"
#include "platform/clock.hpp"
#include "platform/cpu.hpp"
#include "platform/futex.hpp"
#include "platform/raw_lock.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"

#include <new>

namespace turnkey::parking {

[[gnu::tls_model("initial-exec")]] thread_local constinit control* current_control = nullptr;
[[gnu::tls_model("initial-exec")]] thread_local constinit std::atomic<std::uint32_t> current_token_word{0};

namespace {

constexpr std::int64_t long_wait = 100'000'000;
// A token: thread_bit, 21 bits of index (plus one), 9 bits of generation.
constexpr std::uint32_t index_bits = 21;
constexpr std::uint32_t index_mask = (1u << index_bits) - 1;

}  // namespace

// The records. Threads come and go rarely, so one lock does.
struct thread_registry {
  platform::raw_lock lock;
  std::atomic<thread_control*> all{nullptr};
  thread_control* free = nullptr;
  std::uint32_t count = 0;
  pthread_key_t at_thread_exit{};
  bool has_key = false;
  thread_control* unused_block = nullptr;  // the rest of a page of records
  std::size_t unused = 0;

  thread_control* make() noexcept {
    constexpr std::size_t block = 64 * platform::page_size;
    if (unused == 0) {
      void* const memory = platform::map_memory(block, platform::pages::small);
      if (memory == nullptr) return nullptr;
      unused_block = static_cast<thread_control*>(memory);
      unused = block / sizeof(thread_control);
    }
    --unused;
    auto* const record = ::new (static_cast<void*>(unused_block++)) thread_control;
    record->index_ = ++count;
    record->next_ = all.load(std::memory_order_relaxed);
    // order: release -- pairs with all(): the record is seen built.
    all.store(record, std::memory_order_release);
    return record;
  }

  thread_control* take() noexcept {
    lock.lock();
    if (!has_key) has_key = pthread_key_create(&at_thread_exit, give_back) == 0;
    thread_control* record = free;
    if (record != nullptr) {
      free = record->next_free_;
    } else {
      record = make();
    }
    if (record != nullptr) {
      ++record->generation_;
      record->set_token(thread_bit | ((record->generation_ & generation_mask) << index_bits) |
                        (record->index_ & index_mask));
      record->permit_.store(0, std::memory_order_relaxed);
      record->last_thread_ = platform::thread_id();
      record->thread_.store(record->last_thread_, std::memory_order_release);
    }
    lock.unlock();
    if (record != nullptr && has_key) pthread_setspecific(at_thread_exit, record);
    return record;
  }

  // A thread ends. Its record goes back; should a later destructor of that thread lock something, it takes a new one.
  static void give_back(void* gone) noexcept;
};

namespace {
constinit thread_registry registry;
}  // namespace

void thread_registry::give_back(void* gone) noexcept {
  auto* const record = static_cast<thread_control*>(gone);
  if (current_control == record) {
    current_control = nullptr;
    set_current_token(0);
  }
  record->thread_.store(0, std::memory_order_release);
  registry.lock.lock();
  record->next_free_ = registry.free;
  registry.free = record;
  registry.lock.unlock();
}

thread_control* thread_control::all() noexcept { return registry.all.load(std::memory_order_acquire); }

thread_control* thread_control::find(std::uint32_t token) noexcept {
  if ((token & thread_bit) == 0) return nullptr;
  for (thread_control* record = all(); record != nullptr; record = record->next_) {
    if (record->token() == token) return record;
  }
  return nullptr;
}

thread_control& thread_control::of_this_thread() noexcept {
  if (current_control == nullptr) {
    thread_control* const record = registry.take();
    if (record == nullptr) platform::fatal("out of memory: no record for a thread");
    current_control = record;
    set_current_token(record->quick_token());
  }
  return static_cast<thread_control&>(*current_control);
}

[[gnu::noinline]] control& control::current() noexcept {
  control* const running = current_control;
  return running != nullptr ? *running : thread_control::of_this_thread();
}

[[gnu::noinline]] void control::give_way_if_asked() noexcept {
  if (current_token() == quick_token_) return;
  set_current_token(quick_token_);
  end_time_slice();
}

// Not the last one that it has locked, or there are more than the table has room for.
bool control::forget_earlier_read(const void* lock) noexcept {
  const std::uint32_t count = read_count_.load(std::memory_order_relaxed);
  const std::uint32_t known = count < most_reads ? count : most_reads;
  for (std::uint32_t i = 0; i < known; ++i) {
    if (reads_[i].load(std::memory_order_relaxed) != lock) continue;
    // Those that were not noted are behind: one of them may take the place, but nobody knows which.
    for (std::uint32_t j = i + 1; j < known; ++j) {
      reads_[j - 1].store(reads_[j].load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    if (count > most_reads) reads_[most_reads - 1].store(nullptr, std::memory_order_relaxed);
    read_count_.store(count - 1, std::memory_order_relaxed);
    return true;
  }
  if (count <= most_reads) return false;
  read_count_.store(count - 1, std::memory_order_relaxed);  // one of those that were not noted
  return true;
}

[[gnu::noinline]] std::uint32_t make_current_token() noexcept { return control::current().token(); }

void thread_control::suspend(waiter& w, std::int64_t deadline) noexcept {
  waits_.fetch_add(1, std::memory_order_relaxed);
  // A wake through the kernel takes its sender 15 us and its receiver 45: worth polling a little first.
  if (platform::is_multiprocessor()) {
    for (int round = 0; round < 200; ++round) {
      if (w.load_state() != waiter::state::running) return;
      platform::pause();
    }
  }
  is_timed_.store(deadline != platform::no_deadline, std::memory_order_relaxed);
  const std::int64_t start = platform::now();
  w.set_since(start);
  const tracer* const tracing = trace();
  if (tracing != nullptr) [[unlikely]]
    tracing->waits(w);
  if (w.commit_park()) sleep_until_ended(w, start, deadline);
  if (tracing != nullptr) [[unlikely]]
    tracing->goes_on(*this);
}

// Parked; `w` leaves that state.
void thread_control::sleep_until_ended(waiter& w, std::int64_t start, std::int64_t deadline) noexcept {
  const std::int64_t first_look = start + long_wait;
  bool was_long = false;
  while (w.load_state() == waiter::state::parked) {
    const std::int64_t until = was_long || first_look > deadline ? deadline : first_look;
    if (!platform::futex_wait(permit_, 0, until)) {
      if (until == deadline) {
        w.alarm();  // resumes this very thread: the permit is set, the state has changed
      } else {
        was_long = true;
        if (auto* const hook = on_long_wait.load(std::memory_order_acquire)) hook();
      }
    }
    // order: acquire -- pairs with resume(): after a permit the changed state is seen.
    permit_.exchange(0, std::memory_order_acquire);
  }
}

void thread_control::suspend_unlatching(waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept {
  // order: release -- the caller's latch: see wait_unlatching().
  word.store(after, std::memory_order_release);
  suspend(w, platform::no_deadline);
}

void thread_control::resume() noexcept {
  // order: release -- pairs with suspend(): the changed state is seen by the thread that takes the permit.
  permit_.store(1, std::memory_order_release);
  platform::futex_wake_one(permit_);
}

bool thread_control::give_way() noexcept {
  platform::yield_thread();
  return true;
}

std::int64_t thread_control::spin_time() const noexcept { return platform::is_multiprocessor() ? 50'000 : 0; }

void thread_control::describe(platform::text& out) const noexcept { out << "thread " << last_thread_; }

namespace {

void describe_current_control(platform::text& out) noexcept {
  control::current().describe(out);
  out << " [running]:";
}
// Before main: platform's fatal path then knows whom it speaks of.
[[maybe_unused]] const bool is_describing = (platform::describe_current = describe_current_control, true);

}  // namespace

}  // namespace turnkey::parking
