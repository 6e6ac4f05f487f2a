#include <turnkey/go.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

#include "parking/control.hpp"
#include "runtime/worker.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using support::with_procs;
using turnkey::go;
using turnkey::wait_group;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(SUPPORT_HAS_ASAN)
constexpr int many = 300;  // goroutines at once: ThreadSanitizer knows 8,128 at most, and is slow to make them
#else
constexpr int many = 1000;
#endif

// Runs f in a goroutine until it has ended.
template <class F>
void in_goroutine(F&& f) {
  wait_group done;
  done.go({.stack_size = 256 << 10}, std::forward<F>(f));
  done.wait();
}

// Waits, on an OS thread, for what comes true at some time. False if it has not after a very long time.
template <class Predicate>
bool eventually(Predicate pred) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!pred()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

bool no_goroutine_is_left() {
  return eventually([] { return turnkey::num_goroutines() == 0; });
}

// A pipe, so that something can be read that is not there yet.
class channel_of_bytes {
 public:
  channel_of_bytes() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  channel_of_bytes(const channel_of_bytes&) = delete;
  channel_of_bytes& operator=(const channel_of_bytes&) = delete;
  ~channel_of_bytes() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  // Blocks the OS thread.
  [[nodiscard]] char read() const {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
    return byte;
  }
  void write(char byte) const { EXPECT_EQ(::write(ends_[1], &byte, 1), 1); }

 private:
  std::array<int, 2> ends_{};
};

int os_threads() {
  int threads = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++threads;
  return threads;
}

// Counts its copies, those that were ever made and those alive.
struct counted {
  struct counts {
    std::atomic<int> alive{0};
    std::atomic<int> copies{0};
  };
  explicit counted(counts& all) : all_(&all) { ++all_->alive; }
  counted(const counted& other) : all_(other.all_) {
    ++all_->alive;
    ++all_->copies;
  }
  counted(counted&& other) noexcept : all_(other.all_) { ++all_->alive; }
  counted& operator=(const counted&) = delete;
  ~counted() { --all_->alive; }
  void operator()() const {}
  counts* all_;
};

struct account {
  int balance = 0;
  void deposit(int amount) { balance += amount; }
  [[nodiscard]] int look() const { return balance; }
};

std::atomic<int> calls_of_function{0};
void function() { ++calls_of_function; }
void function_of_two(std::atomic<int>* out, int value) { *out = value; }

// How deep the stack is below `top`; goes down to `bytes`, and writes there.
[[gnu::noinline]] std::size_t use_stack(std::uintptr_t top, std::size_t bytes) {  // NOLINT(misc-no-recursion)
  volatile char frame[512];
  frame[0] = 1;
  const std::size_t used = top - reinterpret_cast<std::uintptr_t>(&frame[0]);
  if (used >= bytes) return used;
  const std::size_t deepest = use_stack(top, bytes);
  return deepest + static_cast<std::size_t>(frame[0] - 1);
}

// Uses `bytes` of the stack of a goroutine that has `stack_size`, twice: the second may get the stack of the first.
void expect_usable(std::size_t stack_size, std::size_t bytes) {
  for (int round = 0; round < 2; ++round) {
    wait_group done;
    done.go({.stack_size = stack_size}, [&] {
      volatile char top = 0;
      EXPECT_GE(use_stack(reinterpret_cast<std::uintptr_t>(&top), bytes), bytes);
    });
    done.wait();
  }
}

}  // namespace

// --- the callable and its arguments -------------------------------------------------------------------------------

TEST(Go, RunsWhatItIsGiven) {
  wait_group done;
  bool ran = false;
  done.add();
  go([&] {
    ran = true;
    done.done();
  });
  done.wait();
  EXPECT_TRUE(ran);
}

TEST(Go, RunsWhatGoroutinesStart) {
  wait_group done;
  std::atomic<int> runs{0};
  done.go([&] {
    for (int i = 0; i < 10; ++i) {
      done.go([&] {
        for (int j = 0; j < 10; ++j) done.go([&] { ++runs; });
      });
    }
  });
  done.wait();
  EXPECT_EQ(runs, 100);
}

TEST(Go, RunsWhatManyThreadsStartAtOnce) {
  wait_group done;
  std::atomic<int> runs{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 50; ++j) done.go([&] { ++runs; });
      });
    }
  }
  done.wait();
  EXPECT_EQ(runs, 400);
}

TEST(Go, ShowsTheGoroutineWhatWasDoneBefore) {
  for (int round = 0; round < 100; ++round) {
    wait_group done;
    int value = 0;  // plain: under ThreadSanitizer this is a test of the order
    value = round;
    done.add();
    go([&] {
      EXPECT_EQ(value, round);
      done.done();
    });
    done.wait();
  }
}

TEST(Go, CallsFunctionsAndMembers) {
  wait_group done;
  calls_of_function = 0;
  std::atomic<int> out{0};
  account mine;
  account other;
  done.go(function);
  done.go(&function);
  done.go(std::function<void()>(function));
  done.go(function_of_two, &out, 7);
  done.go(&account::deposit, &mine, 10);
  done.go(&account::deposit, std::ref(other), 20);
  done.go(&account::deposit, std::make_unique<account>(), 30);
  done.go(&account::look, account{});  // the result is dropped
  done.wait();
  EXPECT_EQ(calls_of_function, 3);
  EXPECT_EQ(out, 7);
  EXPECT_EQ(mine.balance, 10);
  EXPECT_EQ(other.balance, 20);
}

TEST(Go, TakesAFunctionThatMayBeNullButIsNot) {
  wait_group done;
  done.add(3);
  go([](wait_group* group) { group->done(); }, &done);
  void (*pointer)(wait_group*) = [](wait_group* group) { group->done(); };
  go(pointer, &done);
  const std::function<void()> object = [&] { done.done(); };
  go(object);
  done.wait();
}

TEST(Go, CopiesItsArguments) {
  wait_group done;
  turnkey::semaphore changed(1);
  changed.acquire();
  std::string text = "before";
  std::array<char, 7> characters{'b', 'e', 'f', 'o', 'r', 'e'};
  done.go(
      [&changed](const std::string& mine, std::array<char, 7> mine_too) {
        changed.acquire();
        EXPECT_EQ(mine, "before");
        EXPECT_STREQ(mine_too.data(), "before");
      },
      text, characters);
  text = "after, and longer than what is kept inside";
  characters = {'a', 'f', 't', 'e', 'r'};
  changed.release();
  done.wait();
}

TEST(Go, DecaysItsArguments) {
  wait_group done;
  const char text[] = "an array";
  const int& constant = 5;
  done.go(
      [](auto* mine, auto number) {
        static_assert(std::is_same_v<decltype(mine), const char*>);
        static_assert(std::is_same_v<decltype(number), int>);
        EXPECT_STREQ(mine, "an array");
        EXPECT_EQ(number, 5);
      },
      text, constant);
  done.wait();
}

TEST(Go, PassesAReferenceOnlyByStdRef) {
  wait_group done;
  int value = 1;
  done.go([](int& mine) { mine = 2; }, std::ref(value));
  done.wait();
  EXPECT_EQ(value, 2);
}

TEST(Go, TakesWhatCanOnlyBeMoved) {
  wait_group done;
  done.add(2);
  go([&, mine = std::make_unique<int>(7)] {
    EXPECT_EQ(*mine, 7);
    done.done();
  });
  go(
      [&](std::unique_ptr<int> mine) {
        EXPECT_EQ(*mine, 8);
        done.done();
      },
      std::make_unique<int>(8));
  done.wait();
}

TEST(Go, CallsTheCallableAsAnRvalueAsStdThreadDoes) {
  struct once_only {
    wait_group* group;
    void operator()(std::string&& mine) && {
      EXPECT_EQ(mine, "moved");
      group->done();
    }
  };
  wait_group done;
  done.add();
  go(once_only{&done}, std::string("moved"));
  done.wait();
}

TEST(Go, AlignsTheCallableAsItAsksFor) {
  struct alignas(64) line {
    wait_group* group;
    void operator()() const {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 64, 0U);
      group->done();
    }
  };
  struct alignas(4096) page {
    wait_group* group;
    void operator()() const {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 4096, 0U);
      group->done();
    }
  };
  wait_group done;
  for (int i = 0; i < 50; ++i) {
    done.add(2);
    go(line{&done});
    go(page{&done});
  }
  done.wait();
}

TEST(Go, TakesACallableOfAnySize) {
  const auto run = [](auto size) {
    struct {
      std::array<unsigned char, decltype(size)::value> bytes;
    } cargo;
    for (std::size_t i = 0; i < cargo.bytes.size(); ++i) cargo.bytes[i] = static_cast<unsigned char>(i % 251);
    wait_group done;
    for (int goroutines = 0; goroutines < 20; ++goroutines) {
      done.add();
      go([&done, cargo] {
        bool is_right = true;
        for (std::size_t i = 0; i < cargo.bytes.size(); ++i) is_right = is_right && cargo.bytes[i] == i % 251;
        EXPECT_TRUE(is_right) << cargo.bytes.size();
        done.done();
      });
    }
    done.wait();
  };
  run(std::integral_constant<std::size_t, 1>());
  run(std::integral_constant<std::size_t, 100>());
  run(std::integral_constant<std::size_t, 1024>());
  run(std::integral_constant<std::size_t, 4096>());
  run(std::integral_constant<std::size_t, 100'000>());
  EXPECT_TRUE(no_goroutine_is_left());
}

TEST(Go, DestroysTheCallableAndItsArgumentsOnce) {
  counted::counts function_counts;
  counted::counts argument_counts;
  {
    const counted f(function_counts);
    const counted argument(argument_counts);
    for (int i = 0; i < 100; ++i) go(f);
    for (int i = 0; i < 100; ++i) go([](const counted& mine) { EXPECT_GE(mine.all_->alive, 1); }, argument);
    EXPECT_TRUE(eventually([&] { return function_counts.alive == 1 && argument_counts.alive == 1; }));
    EXPECT_EQ(function_counts.copies, 100);
    EXPECT_EQ(argument_counts.copies, 100);
  }
  EXPECT_TRUE(no_goroutine_is_left());
  EXPECT_EQ(function_counts.alive, 0);
  EXPECT_EQ(argument_counts.alive, 0);
}

TEST(Go, MovesWhatItMayMove) {
  counted::counts counts;
  go([](const counted&) {}, counted(counts));
  EXPECT_TRUE(eventually([&] { return counts.alive == 0; }));
  EXPECT_EQ(counts.copies, 0);
}

TEST(Go, StartsNothingIfACopyThrows) {
  struct not_copyable_today {
    explicit not_copyable_today(counted::counts& all) : part(all) {}
    not_copyable_today(const not_copyable_today& other) : part(other.part) { throw std::runtime_error("not today"); }
    counted part;
    void operator()() const { ADD_FAILURE() << "was started"; }
  };
  counted::counts counts;
  {
    const not_copyable_today f(counts);
    for (int i = 0; i < 20; ++i) {
      EXPECT_THROW(go(f), std::runtime_error);
      EXPECT_THROW(go({.name = "named"}, f), std::runtime_error);
    }
  }
  EXPECT_EQ(counts.alive, 0);
  EXPECT_TRUE(no_goroutine_is_left());
  in_goroutine([] {});
}

TEST(Go, KeepsNothingOfTheNameString) {
  wait_group done;
  for (int i = 0; i < 100; ++i) {
    const std::string name = std::string(static_cast<std::size_t>(i), 'n') + "ame";
    done.go({.name = name}, [] { turnkey::this_goroutine::yield(); });
  }
  done.go({.name = {}}, [] {});
  done.go({.name = std::string("nul\0inside", 10)}, [] {});
  done.wait();
}

// --- options ------------------------------------------------------------------------------------------------------

TEST(StackSize, AboveOneGibIsInvalidAndStartsNothing) {
  constexpr std::size_t gib = std::size_t{1} << 30;
  counted::counts counts;
  for (const std::size_t size : {gib + 1, 2 * gib, std::numeric_limits<std::size_t>::max()}) {
    EXPECT_THROW(go({.stack_size = size}, counted(counts)), std::invalid_argument);
    wait_group done;
    EXPECT_THROW(done.go({.stack_size = size}, counted(counts)), std::invalid_argument);
    done.wait();  // the counter is as before
  }
  EXPECT_EQ(counts.alive, 0);
  EXPECT_TRUE(no_goroutine_is_left());
}

TEST(StackSize, OfOneGibIsPossible) { expect_usable(std::size_t{1} << 30, 1 << 20); }

TEST(StackSize, OfOneByteIsRoundedUp) { expect_usable(1, 2 << 10); }

TEST(StackSize, IsUsable) {
  expect_usable(0, 40 << 10);
  expect_usable(64 << 10, 40 << 10);
  expect_usable((64 << 10) + 1, 100 << 10);
  expect_usable(256 << 10, 230 << 10);
  expect_usable(1 << 20, 1000 << 10);
  expect_usable(8 << 20, 8000 << 10);
}

TEST(StackSize, MayDifferFromGoroutineToGoroutine) {
  wait_group done;
  for (int i = 0; i < many / 4; ++i) {
    for (const std::size_t size :
         {std::size_t{16} << 10, std::size_t{0}, std::size_t{128} << 10, std::size_t{1} << 20}) {
      done.go({.stack_size = size}, [size] {
        volatile char top = 0;
        use_stack(reinterpret_cast<std::uintptr_t>(&top), size > (16 << 10) ? size / 2 : 1024);
        turnkey::this_goroutine::yield();
      });
    }
  }
  done.wait();
}

// --- get_id -------------------------------------------------------------------------------------------------------

TEST(GetId, IsZeroOnAnOsThread) {
  EXPECT_EQ(turnkey::this_goroutine::get_id(), 0U);
  std::jthread([] { EXPECT_EQ(turnkey::this_goroutine::get_id(), 0U); }).join();
  in_goroutine(
      [] { turnkey::blocking([] { std::jthread([] { EXPECT_EQ(turnkey::this_goroutine::get_id(), 0U); }).join(); }); });
  EXPECT_EQ(turnkey::this_goroutine::get_id(), 0U);
}

TEST(GetId, IsNeverUsedAgain) {
  turnkey::mutex mu;
  std::set<std::uint64_t> ids;
  const auto note = [&] {
    const std::uint64_t id = turnkey::this_goroutine::get_id();
    EXPECT_GT(id, 0U);
    const std::scoped_lock hold(mu);
    EXPECT_TRUE(ids.insert(id).second) << id << " a second time";
  };
  for (int round = 0; round < 10; ++round) {
    wait_group done;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          for (int j = 0; j < 25; ++j) done.go(note);
        });
      }
    }
    done.go([&] {
      for (int j = 0; j < 100; ++j) done.go(note);
    });
    done.wait();
  }
  EXPECT_EQ(ids.size(), 2000U);
}

TEST(GetId, StaysTheSameAcrossWaits) {
  with_procs(4, [] {
    wait_group done;
    turnkey::mutex mu;
    for (int i = 0; i < 50; ++i) {
      done.go([&] {
        const std::uint64_t id = turnkey::this_goroutine::get_id();
        for (int round = 0; round < 20; ++round) {
          turnkey::this_goroutine::yield();
          EXPECT_EQ(turnkey::this_goroutine::get_id(), id);
          turnkey::this_goroutine::sleep_for(1us);
          EXPECT_EQ(turnkey::this_goroutine::get_id(), id);
          const std::scoped_lock hold(mu);
          turnkey::this_goroutine::yield();
          EXPECT_EQ(turnkey::this_goroutine::get_id(), id);
        }
      });
    }
    done.wait();
  });
}

// --- num_goroutines -----------------------------------------------------------------------------------------------

TEST(NumGoroutines, CountsThoseThatHaveNotEnded) {
  ASSERT_TRUE(no_goroutine_is_left());
  turnkey::semaphore gate(100);
  gate.acquire(100);
  wait_group here;
  wait_group done;
  for (int i = 0; i < 100; ++i) {
    here.add();
    done.go([&] {
      here.done();
      gate.acquire();
    });
  }
  here.wait();
  EXPECT_EQ(turnkey::num_goroutines(), 100U);
  gate.release(40);
  EXPECT_TRUE(eventually([] { return turnkey::num_goroutines() == 60; }));
  gate.release(60);
  EXPECT_TRUE(no_goroutine_is_left());
  done.wait();  // the count orders nothing, and what they used goes now
}

TEST(NumGoroutines, DoesNotCountThreadsAndTheRuntimesOwn) {
  in_goroutine([] { turnkey::this_goroutine::sleep_for(1ms); });
  ASSERT_TRUE(no_goroutine_is_left());
  turnkey::semaphore gate(1);
  gate.acquire();
  support::watched thread;
  std::jthread waiting([&] {
    thread.enter();
    gate.acquire();
    thread.leave();
  });
  EXPECT_TRUE(thread.comes_to_wait());
  EXPECT_EQ(turnkey::num_goroutines(), 0U);
  gate.release();
}

// --- max_procs ----------------------------------------------------------------------------------------------------

TEST(MaxProcs, IsWhatWasSetAndSettingReturnsWhatItWas) {
  const int before = turnkey::max_procs();
  EXPECT_GE(before, 1);
  EXPECT_EQ(turnkey::set_max_procs(3), before);
  EXPECT_EQ(turnkey::max_procs(), 3);
  EXPECT_EQ(turnkey::set_max_procs(4096), 3);
  EXPECT_EQ(turnkey::set_max_procs(1), 4096);
  EXPECT_EQ(turnkey::set_max_procs(before), 1);
  EXPECT_EQ(turnkey::max_procs(), before);
}

TEST(MaxProcs, OutOfRangeIsInvalidAndChangesNothing) {
  const int before = turnkey::max_procs();
  for (const int n : {0, -1, 4097, 5000, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    EXPECT_THROW(turnkey::set_max_procs(n), std::invalid_argument) << n;
    EXPECT_EQ(turnkey::max_procs(), before);
  }
}

TEST(MaxProcs, MayChangeWhileGoroutinesRun) {
  const int before = turnkey::max_procs();
  std::atomic<bool> is_over{false};
  std::atomic<std::int64_t> turns{0};
  wait_group done;
  turnkey::mutex mu;
  for (int i = 0; i < 50; ++i) {
    done.go([&] {
      while (!is_over) {
        const std::scoped_lock hold(mu);
        turnkey::this_goroutine::yield();
        ++turns;
      }
    });
  }
  for (const int n : {1, 8, 2, 1, 3, 16, 1, 5, 64, 1, 2, 4, 1}) {
    turnkey::set_max_procs(n);
    EXPECT_EQ(turnkey::max_procs(), n);
    const std::int64_t seen = turns;
    EXPECT_TRUE(eventually([&] { return turns >= seen + 100; })) << n;
  }
  is_over = true;
  done.wait();
  turnkey::set_max_procs(before);
}

TEST(MaxProcs, MayBeChangedByGoroutines) {
  const int before = turnkey::max_procs();
  wait_group done;
  for (int i = 0; i < 20; ++i) {
    done.go([i] {
      for (int n = 1; n <= 8; ++n) {
        EXPECT_GE(turnkey::set_max_procs((n + i) % 8 + 1), 1);
        turnkey::this_goroutine::yield();
      }
    });
  }
  done.wait();
  turnkey::set_max_procs(before);
}

// Goroutines that never come to a scheduling point run at once, each on a thread of its own, up to max_procs().
TEST(MaxProcs, ManyGoroutinesRunAtOnce) {
  with_procs(4, [] {
    std::atomic<int> running{0};
    wait_group done;
    for (int i = 0; i < 4; ++i) {
      done.go([&] {
        ++running;
        while (running < 4) {
        }
      });
    }
    done.wait();
  });
}

// All threads of this process on one CPU, while one lives.
class single_cpu {
 public:
  single_cpu() {
    EXPECT_EQ(sched_getaffinity(0, sizeof before_, &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    move_all_to(one);
  }
  single_cpu(const single_cpu&) = delete;
  single_cpu& operator=(const single_cpu&) = delete;
  ~single_cpu() { move_all_to(before_); }

 private:
  static void move_all_to(const cpu_set_t& cpus) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      sched_setaffinity(std::stoi(task.path().filename()), sizeof cpus, &cpus);
    }
  }
  cpu_set_t before_{};
};

// A worker is in no hurry to help on a CPU where another one runs, but help it must: here nobody leaves it room.
TEST(MaxProcs, TwoOfOneCpuRunBoth) {
  const int before = turnkey::set_max_procs(2);
  in_goroutine([] {});  // there are workers
  {
    const single_cpu cpu;
    in_goroutine([] {
      std::atomic<bool> has_run{false};
      turnkey::wait_group other;
      other.go([&] { has_run = true; });
      while (!has_run) turnkey::platform::pause();
      other.wait();
    });
  }
  turnkey::set_max_procs(before);
}

// --- yield --------------------------------------------------------------------------------------------------------

TEST(Yield, LetsAnotherGoroutineRunWhereThereIsOneProc) {
  with_procs(1, [] {
    wait_group done;
    std::atomic<int> turn{0};
    for (int player = 0; player < 2; ++player) {
      done.go([&, player] {
        for (int round = 0; round < 100; ++round) {
          support::await([&] { return turn % 2 == player; });
          ++turn;
        }
      });
    }
    done.wait();
    EXPECT_EQ(turn, 200);
  });
}

TEST(Yield, LetsEverybodyHaveATurn) {
  with_procs(1, [] {
    wait_group done;
    std::atomic<int> arrived{0};
    for (int i = 0; i < many; ++i) {
      done.go([&] {
        ++arrived;
        support::await([&] { return arrived == many; });
      });
    }
    done.wait();
  });
}

// More of them than a worker's own queue holds: those that yield must not keep those from running that have never run.
TEST(Yield, LetsThoseRunThatWereStartedByAThread) {
  for (const int procs : {1, 2}) {
    support::with_procs(procs, [] {
      constexpr int goroutines = 1'200;
      std::atomic<int> missing{goroutines};
      turnkey::wait_group all;
      for (int i = 0; i < goroutines; ++i) {
        all.go([&] {
          --missing;
          while (missing > 0) turnkey::this_goroutine::yield();
        });
      }
      all.wait();
      EXPECT_EQ(missing, 0);
    });
  }
}

TEST(Yield, OnAnOsThreadReturns) {
  for (int i = 0; i < 100; ++i) turnkey::this_goroutine::yield();
  std::jthread([] { turnkey::this_goroutine::yield(); }).join();
}

TEST(Yield, WithNobodyElseReturns) {
  in_goroutine([] {
    for (int i = 0; i < 1000; ++i) turnkey::this_goroutine::yield();
  });
}

// --- time slices --------------------------------------------------------------------------------------------------

// Rounds in which a goroutine that is asked to give way has not done so when use() returns. It is the only proc's, but another
// worker may be lent to who waits at any time; so a round now and then may be lost.
template <class Use>
int rounds_without_giving_way(int rounds, Use use) {
  int without = 0;
  with_procs(1, [&] {
    in_goroutine([&] {
      for (int round = 0; round < rounds; ++round) {
        wait_group other;
        std::atomic<bool> has_run{false};
        other.go([&] { has_run = true; });
        turnkey::runtime::worker::current()->ask_to_give_way();
        use();
        if (!has_run) ++without;
        other.wait();
      }
    });
  });
  return without;
}

TEST(TimeSlice, EndsAtAFreeLockOnceItIsOver) {
  constexpr int rounds = 100;
  const auto ends = [](auto use) { return rounds_without_giving_way(rounds, use) < rounds / 2; };
  turnkey::mutex mu;
  turnkey::rw_mutex rw;
  EXPECT_TRUE(ends([&] { const std::scoped_lock hold(mu); }));
  EXPECT_TRUE(ends([&] { const std::scoped_lock hold(rw); }));
  EXPECT_TRUE(ends([&] { const std::shared_lock hold(rw); }));
  EXPECT_TRUE(ends([&] {
    if (mu.try_lock_for(1min)) mu.unlock();
  }));
  EXPECT_TRUE(ends([&] {
    if (rw.try_lock_shared_for(1min)) rw.unlock_shared();
  }));
  EXPECT_FALSE(ends([&] {
    if (mu.try_lock()) mu.unlock();
  })) << "try_lock never leaves the CPU";
}

TEST(TimeSlice, EndsOnceForEachTimeThatItIsAskedFor) {
  with_procs(1, [] {
    in_goroutine([] {
      turnkey::mutex mu;
      turnkey::runtime::worker::current()->ask_to_give_way();
      { const std::scoped_lock hold(mu); }
      const turnkey::parking::control& me = turnkey::parking::control::current();
      EXPECT_EQ(turnkey::parking::current_token(), me.quick_token());
    });
  });
}

// The first goes behind the second and the third. The second ends its slice as well, and by then its worker has looked for those
// who wait for any worker, of whom the first is one: it has no right of way.
TEST(TimeSlice, LeavesTheWorkerToEverybodyInTurn) {
  constexpr int rounds = 100;
  int in_turn = 0;
  with_procs(1, [&] {
    for (int round = 0; round < rounds; ++round) {
      in_goroutine([&] {
        turnkey::mutex mu;
        std::string order;
        const auto log = [&](char what) {
          const std::scoped_lock hold(mu);
          order += what;
        };
        const auto end_slice = [&] {
          turnkey::runtime::worker::current()->hasten_housekeeping();
          turnkey::runtime::worker::current()->ask_to_give_way();
          const std::scoped_lock hold(mu);
        };
        wait_group others;
        for (const char name : {'2', '3'}) {
          others.go([&, name] {
            log(name);
            end_slice();
            log(name);
          });
        }
        log('1');
        end_slice();
        log('1');
        others.wait();
        if (order == "123123" || order == "132132") ++in_turn;
      });
    }
  });
  EXPECT_GT(in_turn, rounds / 2);
}

// Without being asked it would go on, until another OS thread runs the other one.
TEST(TimeSlice, OfOneThatLocksAgainAndAgainIsSeenByTheMonitor) {
  with_procs(1, [] {
    in_goroutine([] {
      bool is_same_thread = false;
      for (int round = 0; round < 100 && !is_same_thread; ++round) {
        turnkey::mutex mu;
        wait_group other;
        std::atomic<pid_t> its_thread{0};
        other.go([&] { its_thread = gettid(); });
        const pid_t thread = gettid();
        while (its_thread == 0) const std::scoped_lock hold(mu);
        is_same_thread = its_thread == thread;
        other.wait();
        // A worker that was lent meanwhile takes the next one at once, unless it has nothing to do for a while.
        if (!is_same_thread) turnkey::this_goroutine::sleep_for(30ms);
      }
      EXPECT_TRUE(is_same_thread);
    });
  });
}

// --- sleep --------------------------------------------------------------------------------------------------------

namespace {

// Runs the test's body on an OS thread and on a goroutine.
template <class Body>
void on_both(Body body) {
  body();
  in_goroutine(body);
}

}  // namespace

TEST(Sleep, ThatIsOverReturns) {
  on_both([] {
    turnkey::this_goroutine::sleep_for(0s);
    turnkey::this_goroutine::sleep_for(-1s);
    turnkey::this_goroutine::sleep_for(std::chrono::hours::min());
    turnkey::this_goroutine::sleep_for(std::chrono::nanoseconds::min());
    turnkey::this_goroutine::sleep_for(std::chrono::duration<double>(-1e300));
    turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::time_point::min());
    turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::time_point());
    turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::now());
    turnkey::this_goroutine::sleep_until(std::chrono::system_clock::time_point());
    turnkey::this_goroutine::sleep_until(std::chrono::system_clock::now() - 1h);
  });
}

TEST(Sleep, LastsAtLeastAsLongAsAskedFor) {
  on_both([] {
    for (const auto period : {1ns, 1'000ns, 1'000'000ns, 7'654'321ns}) {
      const auto start = std::chrono::steady_clock::now();
      turnkey::this_goroutine::sleep_for(period);
      EXPECT_GE(std::chrono::steady_clock::now() - start, period);
    }
    const auto start = std::chrono::steady_clock::now();
    turnkey::this_goroutine::sleep_for(std::chrono::duration<double>(0.002));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 2ms);
    const auto end = std::chrono::steady_clock::now() + 2ms;
    turnkey::this_goroutine::sleep_until(end);
    EXPECT_GE(std::chrono::steady_clock::now(), end);
  });
}

TEST(Sleep, IsTrueIfNoStopEndedIt) {
  on_both([] {
    std::stop_source source;
    EXPECT_TRUE(turnkey::this_goroutine::sleep_for(1ms, source.get_token()));
    EXPECT_TRUE(turnkey::this_goroutine::sleep_for(1ms, std::stop_token()));
    EXPECT_TRUE(turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::now() + 1ms, source.get_token()));
    EXPECT_TRUE(turnkey::this_goroutine::sleep_until(std::chrono::system_clock::now() + 1ms, std::stop_token()));
  });
}

TEST(Sleep, IsFalseIfAStopWasRequestedBefore) {
  on_both([] {
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(turnkey::this_goroutine::sleep_for(24h, source.get_token()));
    EXPECT_FALSE(turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::now() + 24h, source.get_token()));
  });
}

TEST(Sleep, ForEverEndsByAStop) {
  const std::vector<std::function<bool(std::stop_token)>> sleeps = {
      [](std::stop_token token) { return turnkey::this_goroutine::sleep_for(1h, std::move(token)); },
      [](std::stop_token token) {
        return turnkey::this_goroutine::sleep_for(std::chrono::hours::max(), std::move(token));
      },
      [](std::stop_token token) {
        return turnkey::this_goroutine::sleep_for(std::chrono::nanoseconds::max(), std::move(token));
      },
      [](std::stop_token token) {
        return turnkey::this_goroutine::sleep_for(std::chrono::duration<double>(1e300), std::move(token));
      },
      [](std::stop_token token) {
        return turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::time_point::max(), std::move(token));
      },
      [](std::stop_token token) {
        return turnkey::this_goroutine::sleep_until(std::chrono::steady_clock::now() + 24h, std::move(token));
      },
  };
  for (const auto& sleep : sleeps) {
    std::stop_source source;
    support::watched thread;
    support::watched goroutine;
    std::jthread sleeper([&] {
      thread.enter();
      EXPECT_FALSE(sleep(source.get_token()));
      thread.leave();
    });
    wait_group done;
    done.go([&] {
      goroutine.enter();
      EXPECT_FALSE(sleep(source.get_token()));
      goroutine.leave();
    });
    EXPECT_TRUE(thread.comes_to_wait());
    EXPECT_TRUE(goroutine.comes_to_wait());
    source.request_stop();
    done.wait();
  }
}

TEST(Sleep, DoesNotHoldAWorker) {
  with_procs(1, [] {
    std::stop_source source;
    std::atomic<int> asleep{0};
    std::atomic<int> stopped{0};
    wait_group done;
    for (int i = 0; i < many; ++i) {
      done.go([&] {
        ++asleep;
        if (!turnkey::this_goroutine::sleep_for(1h, source.get_token())) ++stopped;
      });
    }
    // Comes true only if each sleeper lets the next one have the worker.
    support::await([&] { return asleep == many; });
    source.request_stop();
    done.wait();
    EXPECT_EQ(stopped, many);
  });
}

TEST(Sleep, OfManyOnOneProcEndsAtItsTime) {
  with_procs(1, [] {
    wait_group done;
    const auto when = std::chrono::steady_clock::now() + 50ms;
    for (int i = 0; i < many; ++i) {
      done.go([&, mine = when + std::chrono::microseconds(i % 7)] {
        turnkey::this_goroutine::sleep_until(mine);
        EXPECT_GE(std::chrono::steady_clock::now(), mine);
      });
    }
    done.wait();
  });
}

TEST(Sleep, EndsWhileOthersKeepTheWorkerBusy) {
  with_procs(1, [] {
    std::atomic<bool> has_slept{false};
    wait_group done;
    for (int i = 0; i < 2; ++i) {
      done.go([&] { support::await([&] { return has_slept.load(); }); });
    }
    done.go([&] {
      turnkey::this_goroutine::sleep_for(20ms);
      has_slept = true;
    });
    done.wait();
  });
}

// --- blocking -----------------------------------------------------------------------------------------------------

TEST(Blocking, ReturnsWhatTheCallableReturns) {
  on_both([] {
    int value = 1;
    static_assert(std::is_same_v<decltype(turnkey::blocking([] { return 1; })), int>);
    static_assert(std::is_same_v<decltype(turnkey::blocking([&]() -> int& { return value; })), int&>);
    static_assert(std::is_same_v<decltype(turnkey::blocking([&]() -> const int& { return value; })), const int&>);
    static_assert(std::is_same_v<decltype(turnkey::blocking([&]() -> int&& { return std::move(value); })), int&&>);
    static_assert(std::is_same_v<decltype(turnkey::blocking([] {})), void>);
    EXPECT_EQ(turnkey::blocking([] { return 7; }), 7);
    turnkey::blocking([&]() -> int& { return value; }) = 2;
    EXPECT_EQ(value, 2);
    turnkey::blocking([&] { value = 3; });
    EXPECT_EQ(value, 3);
    EXPECT_EQ(*turnkey::blocking([] { return std::make_unique<int>(8); }), 8);
    EXPECT_EQ(turnkey::blocking([mine = std::make_unique<int>(9)] { return *mine; }), 9);
    EXPECT_EQ(turnkey::blocking([] { return turnkey::blocking([] { return 10; }); }), 10);
  });
}

TEST(Blocking, LetsExceptionsThrough) {
  on_both([] {
    for (int round = 0; round < 10; ++round) {
      try {
        turnkey::blocking([] { throw std::runtime_error("from below"); });
        ADD_FAILURE() << "did not throw";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "from below");
      }
      turnkey::this_goroutine::yield();
    }
  });
}

TEST(Blocking, KeepsTheGoroutinesId) {
  in_goroutine([] {
    const std::uint64_t id = turnkey::this_goroutine::get_id();
    turnkey::blocking([&] { EXPECT_EQ(turnkey::this_goroutine::get_id(), id); });
    EXPECT_EQ(turnkey::this_goroutine::get_id(), id);
  });
}

TEST(Blocking, LetsOthersHaveTheOneProc) {
  with_procs(1, [] {
    for (int round = 0; round < 20; ++round) {
      const channel_of_bytes bytes;
      std::atomic<bool> is_reading{false};
      wait_group done;
      done.go([&] {
        EXPECT_EQ(turnkey::blocking([&] {
                    is_reading = true;
                    return bytes.read();
                  }),
                  'x');
      });
      done.go([&] {
        support::await([&] { return is_reading.load(); });
        bytes.write('x');
      });
      done.wait();
    }
  });
}

TEST(Blocking, MayBeDoneByManyOnOneProc) {
  with_procs(1, [] {
    constexpr int readers = 30;
    const channel_of_bytes bytes;
    std::atomic<int> reading{0};
    wait_group done;
    for (int i = 0; i < readers; ++i) {
      done.go([&] {
        EXPECT_EQ(turnkey::blocking([&] {
                    ++reading;
                    return bytes.read();
                  }),
                  'x');
        turnkey::this_goroutine::yield();
      });
    }
    done.go([&] {
      support::await([&] { return reading == readers; });
      for (int i = 0; i < readers; ++i) bytes.write('x');
    });
    done.wait();
  });
}

TEST(Blocking, MayStartGoroutinesAndWait) {
  with_procs(1, [] {
    wait_group done;
    for (int i = 0; i < 20; ++i) {
      done.go([&] {
        turnkey::blocking([&] {
          wait_group inner;
          turnkey::mutex mu;
          inner.go([&] { const std::scoped_lock hold(mu); });
          {
            const std::scoped_lock hold(mu);
            turnkey::this_goroutine::yield();
          }
          inner.wait();
        });
      });
    }
    done.wait();
  });
  EXPECT_TRUE(no_goroutine_is_left());
}

// Not strictly so: the runtime may take a goroutine that the kernel has preempted for one that is stuck.
TEST(Blocking, LeavesNoMoreGoroutinesRunningThanProcsAfterwards) {
  with_procs(1, [] {
    constexpr int rounds = 1000;
    std::atomic<int> running{0};
    std::atomic<int> overlaps{0};
    wait_group done;
    for (int i = 0; i < 10; ++i) {
      done.go([&] {
        for (int round = 0; round < rounds / 10; ++round) {
          turnkey::blocking([] { std::this_thread::yield(); });
          if (++running > 1) ++overlaps;
          for (int work = 0; work < 3000; ++work) std::atomic_signal_fence(std::memory_order_seq_cst);
          --running;
        }
      });
    }
    done.wait();
    EXPECT_LT(overlaps, rounds / 10);
  });
}

// --- foreign code that blocks -------------------------------------------------------------------------------------

TEST(ForeignBlockingCode, DoesNotStallTheOthers) {
  with_procs(1, [] {
    const channel_of_bytes bytes;
    std::atomic<bool> is_reading{false};
    wait_group done;
    done.go([&] {
      is_reading = true;
      EXPECT_EQ(bytes.read(), 'x');  // nobody told the runtime
    });
    done.go([&] {
      support::await([&] { return is_reading.load(); });
      bytes.write('x');
    });
    done.wait();
  });
}

TEST(ForeignBlockingCode, InManyGoroutinesDoesNotStallTheOthers) {
  with_procs(2, [] {
    constexpr int readers = 5;
    const channel_of_bytes bytes;
    std::atomic<int> reading{0};
    wait_group done;
    for (int i = 0; i < readers; ++i) {
      done.go([&] {
        ++reading;
        EXPECT_EQ(bytes.read(), 'x');
      });
    }
    done.go([&] {
      support::await([&] { return reading == readers; });
      for (int i = 0; i < readers; ++i) bytes.write('x');
    });
    done.wait();
  });
}

TEST(ForeignBlockingCode, DoesNotStallThoseThatAThreadStartsOrWakes) {
  with_procs(1, [] {
    const channel_of_bytes bytes;
    std::atomic<bool> is_reading{false};
    wait_group done;
    turnkey::semaphore token(1);
    token.acquire();
    support::watched parked;
    done.go([&] {
      parked.enter();
      token.acquire();
      parked.leave();
    });
    EXPECT_TRUE(parked.comes_to_wait());
    done.go([&] {
      is_reading = true;
      EXPECT_EQ(bytes.read(), 'x');
    });
    while (!is_reading) std::this_thread::yield();
    in_goroutine([] {});
    token.release();
    while (!parked.has_left()) std::this_thread::yield();
    in_goroutine([] { turnkey::this_goroutine::sleep_for(1ms); });
    bytes.write('x');
    done.wait();
  });
}

TEST(OsThreads, ThatBlockingNeededGoAwayAfterwards) {
  in_goroutine([] {});
  ASSERT_TRUE(no_goroutine_is_left());
  const int before = os_threads();
  constexpr int readers = 40;
  with_procs(2, [&] {
    const channel_of_bytes bytes;
    std::atomic<int> reading{0};
    wait_group done;
    for (int i = 0; i < readers; ++i) {
      done.go([&] {
        turnkey::blocking([&] {
          ++reading;
          return bytes.read();
        });
      });
    }
    support::await([&] { return reading == readers; });
    EXPECT_GE(os_threads(), readers);
    for (int i = 0; i < readers; ++i) bytes.write('x');
    done.wait();
  });
  const int allowed = before + turnkey::max_procs() + 4;
  EXPECT_TRUE(eventually([&] { return os_threads() <= allowed; })) << os_threads() << ", before: " << before;
}
