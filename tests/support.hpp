// What the tests share: who runs a test, how a test knows that somebody waits, what must not be touched any more, and
// for how long a stress test goes on.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <turnkey/go.hpp>
#include <turnkey/wait_group.hpp>

#include "parking/control.hpp"
#include "platform/cpu.hpp"
#include "runtime/scheduler.hpp"

#ifdef __SANITIZE_ADDRESS__
#define SUPPORT_HAS_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define SUPPORT_HAS_TSAN 1
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SUPPORT_HAS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define SUPPORT_HAS_TSAN 1
#endif
#endif
#ifdef SUPPORT_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

#ifdef SUPPORT_HAS_TSAN
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

// Clang's analysis follows scopes. Tests lock here and unlock there.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

namespace support {

using namespace std::chrono_literals;

// --- who runs a test ----------------------------------------------------------------------------------------------

enum class company { threads, goroutines, both };

// Who takes part, how many goroutines may run at once, and what the test's own body is.
struct stage {
  company who;
  int procs;
  bool body_is_goroutine;
};

inline std::ostream& operator<<(std::ostream& out, const stage& where) {
  switch (where.who) {
    case company::threads: return out << "on OS threads";
    case company::goroutines: return out << "on goroutines, " << where.procs << " procs";
    case company::both: break;
  }
  return out << "on threads and goroutines, the body on a " << (where.body_is_goroutine ? "goroutine" : "thread")
             << ", " << where.procs << " procs";
}

inline constexpr std::array stages{
    stage{company::threads, 0, false},   stage{company::goroutines, 1, true},  stage{company::goroutines, 2, true},
    stage{company::goroutines, 4, true}, stage{company::goroutines, 16, true}, stage{company::both, 1, false},
    stage{company::both, 2, true},       stage{company::both, 4, false},       stage{company::both, 16, true},
};
// One of each kind, for tests that do the same on every stage; stress tests go through all of them.
inline constexpr std::array typical_stages{
    stage{company::threads, 0, false}, stage{company::goroutines, 1, true}, stage{company::goroutines, 4, true},
    stage{company::both, 1, true},     stage{company::both, 2, false},
};

// Runs `body` while `procs` goroutines may run at once, in turns on the same CPU if there are not enough.
inline void with_procs(int procs, const std::function<void()>& body) {
  using turnkey::runtime::scheduler;
  const int before = turnkey::set_max_procs(procs);
  const bool is_crowded = procs > turnkey::platform::available_cpus();
  const std::uint32_t patience = is_crowded ? scheduler::crowd_patience.exchange(0) : scheduler::crowd_patience.load();
  body();
  scheduler::crowd_patience = patience;
  turnkey::set_max_procs(before);
}

// Runs `body(where)` as `where` says, and tells where it was if it failed.
inline void perform(const stage& where, const std::function<void(const stage&)>& body) {
  const bool had_failed = ::testing::Test::HasFailure();
  if (where.who == company::threads) {
    body(where);
  } else {
    with_procs(where.procs, [&] {
      if (where.body_is_goroutine) {
        turnkey::wait_group ended;
        ended.go({.name = "test body", .stack_size = 256 << 10}, [&] { body(where); });
        ended.wait();
      } else {
        body(where);
      }
    });
  }
  if (!had_failed && ::testing::Test::HasFailure()) ADD_FAILURE() << "this was " << where;
}

inline void run_everywhere(const std::function<void(const stage&)>& body) {
  for (const stage& where : typical_stages) perform(where, body);
}

// Lets others run until pred() is true. An OS thread that has long yielded in vain sleeps between two looks, so that it
// takes no CPU from those it waits for.
template <class Predicate>
void await(Predicate pred) {
  for (int looks = 0; !pred(); ++looks) {
    if (looks > 10 && turnkey::this_goroutine::get_id() == 0) {
      std::this_thread::sleep_for(20us);
    } else {
      turnkey::this_goroutine::yield();
    }
  }
}

// A thread of control that others watch: they can tell whether it waits in the library.
class watched {
 public:
  // Called by the one that is watched, around what it does.
  void enter() noexcept { who_.store(&turnkey::parking::control::current(), std::memory_order_release); }
  void leave() noexcept {
    who_.store(nullptr, std::memory_order_relaxed);
    has_left_.store(true, std::memory_order_release);
  }

  // True while it waits: it stands in the queue of what it waits for.
  [[nodiscard]] bool waits() const noexcept {
    const auto* const control = who_.load(std::memory_order_acquire);
    if (control == nullptr) return false;
#ifdef SUPPORT_HAS_TSAN
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);  // it does not see how the library orders its own records
#endif
    const bool is_waiting = control->waiting() != nullptr;
#ifdef SUPPORT_HAS_TSAN
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
    return is_waiting;
  }
  [[nodiscard]] bool has_left() const noexcept { return has_left_.load(std::memory_order_acquire); }
  // True as soon as it waits; false if it left instead.
  [[nodiscard]] bool comes_to_wait() const {
    bool is_waiting = false;
    await([&] {
      is_waiting = waits();
      return is_waiting || has_left();
    });
    return is_waiting;
  }

 private:
  std::atomic<const turnkey::parking::control*> who_{nullptr};
  std::atomic<bool> has_left_{false};
};

// The others who take part in a test: OS threads, goroutines, or one and the other by turns.
class crew {
 public:
  explicit crew(const stage& where) : who_(where.who), next_is_goroutine_(!where.body_is_goroutine) {}
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  ~crew() { join(); }

  template <class F>
  void start(F f) {
    begin(nullptr, std::unique_ptr<job>(new job_of<F>(std::move(f))));
  }
  template <class F>
  void start(watched& who, F f) {
    begin(&who, std::unique_ptr<job>(new job_of<F>(std::move(f))));
  }

  // Waits until all have ended.
  void join() {
    running_.wait();
    turnkey::blocking([&] { threads_.clear(); });
  }

 private:
  // What one of them does. Behind a virtual call, as each test has several: a goroutine and a thread for each type would take
  // most of the time that the tests take to compile.
  struct job {
    virtual ~job() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct job_of final : job {
    explicit job_of(F&& f) : call(std::move(f)) {}
    void run() override { call(); }
    F call;
  };

  void begin(watched* who, std::unique_ptr<job> what) {
    const bool as_goroutine = who_ == company::both ? next_is_goroutine_ : who_ == company::goroutines;
    next_is_goroutine_ = !next_is_goroutine_;
    auto work = [who, what = std::move(what)]() mutable {
      if (who != nullptr) who->enter();
      what->run();
      if (who != nullptr) who->leave();
      what.reset();
    };
    if (as_goroutine) {
      running_.go(std::move(work));
    } else {
      running_.add();
      threads_.emplace_back([this, work = std::move(work)]() mutable {
        work();
        running_.done();
      });
    }
  }

  company who_;
  bool next_is_goroutine_;
  turnkey::wait_group running_;
  std::vector<std::jthread> threads_;
};

// Lets a number of threads of control go at the same time, again and again.
class start_line {
 public:
  explicit start_line(int runners) : runners_(runners) {}
  void wait() {
    const int before = arrived_.fetch_add(1, std::memory_order_acq_rel);
    const int all = (before / runners_ + 1) * runners_;
    await([&] { return arrived_.load(std::memory_order_acquire) >= all; });
  }

 private:
  const int runners_;
  std::atomic<int> arrived_{0};
};

// Somebody who is inside a call from when this is made to end(): call(stay) is to call stay() where that is.
class somebody_inside {
 public:
  template <class Call>
  somebody_inside(const stage& where, Call call) : crew_(where) {
    crew_.start([this, call] {
      call([this] {
        line_.wait();
        line_.wait();
      });
    });
    line_.wait();
  }
  // Lets them out, and waits until they are.
  void end() {
    line_.wait();
    crew_.join();
  }

 private:
  start_line line_{2};
  crew crew_;
};

// --- what must not be touched any more ------------------------------------------------------------------------------

// Holds one T and ends its life when told to. Whoever touches it afterwards is found out: by AddressSanitizer at once,
// a writer in any build when the mortal goes, which is when all who knew the T have ended.
template <class T>
class mortal {
 public:
  template <class... Args>
  explicit mortal(Args&&... args)
      : object_(::new (static_cast<void*>(memory_->data())) T(std::forward<Args>(args)...)) {}
  mortal(const mortal&) = delete;
  mortal& operator=(const mortal&) = delete;
  ~mortal() {
#ifdef SUPPORT_HAS_ASAN
    __asan_unpoison_memory_region(memory_->data(), sizeof(T));
#endif
    EXPECT_TRUE(std::ranges::all_of(*memory_, [](std::byte b) { return b == dead; }))
        << "something wrote to an object after its end, or nothing ended it";
  }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }

  void end() noexcept {
    object_->~T();
    std::memset(memory_->data(), static_cast<int>(dead), sizeof(T));
#ifdef SUPPORT_HAS_ASAN
    __asan_poison_memory_region(memory_->data(), sizeof(T));
#endif
  }

 private:
  static constexpr std::byte dead{0xdb};
  struct alignas(std::max(alignof(T), std::size_t{8})) room : std::array<std::byte, sizeof(T)> {};
  std::unique_ptr<room> memory_ = std::make_unique<room>();
  T* object_;
};

// --- chance and time ------------------------------------------------------------------------------------------------

// A small pseudo-random generator (splitmix64).
class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 ... sides - 1.
  int roll(int sides) noexcept { return static_cast<int>(next() % static_cast<std::uint64_t>(sides)); }
  // A time to wait: mostly next to nothing, sometimes longer, sometimes already over.
  std::chrono::nanoseconds moment() noexcept {
    switch (roll(8)) {
      case 0: return -1ns;
      case 1: return std::chrono::microseconds(roll(2000));
      default: return std::chrono::nanoseconds(roll(20'000));
    }
  }
  // Gives others the chance to come in between, or not.
  void dawdle() {
    switch (roll(8)) {
      case 0: turnkey::this_goroutine::yield(); break;
      case 1:
      case 2:
        for (int rounds = roll(300); rounds > 0; --rounds) std::atomic_signal_fence(std::memory_order_seq_cst);
        break;
      default: break;
    }
  }

 private:
  std::uint64_t state_;
};

// The luck of one test: TURNKEY_TEST_SEED, or another one each time. Printed, so that it can be had again.
inline std::uint64_t test_seed() {
  const char* const given = std::getenv("TURNKEY_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("TURNKEY_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

// The time and the luck of one stress test: TURNKEY_TEST_SECONDS (1), and a test_seed().
class stress {
 public:
  stress() {
    const char* const seconds = std::getenv("TURNKEY_TEST_SECONDS");
    const std::chrono::duration<double> length(seconds != nullptr ? std::strtod(seconds, nullptr) : 1.0);
    end_ = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(length);
  }

  // Calls round(where, size, seed) on every stage by turns until the time is over or something has failed; `size` starts
  // at 1 and doubles with each tour of the stages up to `largest`.
  template <class Round>
  void run(int largest, Round round) {
    dice luck(seed_);
    for (int size = 1;; size = std::min(largest, 2 * size)) {
      for (const stage& where : stages) {
        const std::uint64_t seed = luck.next();
        perform(where, [&](const stage& here) { round(here, size, seed); });
        if (std::chrono::steady_clock::now() >= end_ || ::testing::Test::HasFailure()) return;
      }
    }
  }

 private:
  std::uint64_t seed_ = test_seed();
  std::chrono::steady_clock::time_point end_;
};

// --- what the standard calls a lock -----------------------------------------------------------------------------------

template <class L>
concept basic_lockable = requires(L& lock) {
  lock.lock();
  lock.unlock();
};
template <class L>
concept lockable = basic_lockable<L> && requires(L& lock) {
  { lock.try_lock() } -> std::same_as<bool>;
};
template <class L>
concept timed_lockable = lockable<L> &&
    requires(L& lock, std::chrono::hours period, std::chrono::system_clock::time_point when, std::stop_token token) {
  { lock.try_lock_for(period) } -> std::same_as<bool>;
  { lock.try_lock_until(when) } -> std::same_as<bool>;
  { lock.lock(token) } -> std::same_as<bool>;
};
template <class L>
concept shared_timed_lockable = requires(L& lock, std::chrono::hours period, std::chrono::system_clock::time_point when,
                                         std::stop_token token) {
  lock.lock_shared();
  lock.unlock_shared();
  { lock.try_lock_shared() } -> std::same_as<bool>;
  { lock.try_lock_shared_for(period) } -> std::same_as<bool>;
  { lock.try_lock_shared_until(when) } -> std::same_as<bool>;
  { lock.lock_shared(token) } -> std::same_as<bool>;
};

template <class T>
inline constexpr bool stays_where_it_is = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                                          !std::is_move_constructible_v<T> && !std::is_move_assignable_v<T>;

}  // namespace support
