// Goroutines in numbers: a million at once, storms of starts and wakes, stopped sleeps, workers that come and go.
#include <gtest/gtest.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include <turnkey/condition_variable.hpp>
#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::company;
using support::dice;
using support::stage;
using turnkey::semaphore;
using turnkey::wait_group;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(SUPPORT_HAS_ASAN)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif
constexpr int at_once = is_sanitized ? 400 : 20'000;  // goroutines alive at the same time, in the storms

// A million; under sanitizers, which know 8,128 at most and are slow to make them, a thousand. Where the memory is too
// small for a page and a bit each, as many as fit.
std::ptrdiff_t a_million() {
  if (is_sanitized) return 1'000;
  struct sysinfo machine {};
  ::sysinfo(&machine);
  const std::uint64_t bytes = (machine.freeram + machine.bufferram) * machine.mem_unit;
  const std::uint64_t fit = bytes / 2 / 5'000;
  if (fit < 1'000'000) std::printf("memory for %llu goroutines only\n", static_cast<unsigned long long>(fit));
  return static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(1'000'000, fit));
}

void wait_until_none_is_left() {
  support::await([] { return turnkey::num_goroutines() == 0; });
}

}  // namespace

TEST(RuntimeStress, AMillionGoroutinesParkAtOnceAndGoOn) {
  wait_until_none_is_left();
  const std::ptrdiff_t goroutines = a_million();
  semaphore tokens(goroutines);
  tokens.acquire(goroutines);
  wait_group gate;
  wait_group done;
  std::atomic<std::ptrdiff_t> arrived{0};
  std::atomic<std::ptrdiff_t> got_token{0};
  std::atomic<std::ptrdiff_t> passed{0};
  gate.add();
  for (std::ptrdiff_t i = 0; i < goroutines; ++i) {
    done.go([&] {
      arrived.fetch_add(1, std::memory_order_relaxed);
      tokens.acquire();
      got_token.fetch_add(1, std::memory_order_relaxed);
      gate.wait();
      passed.fetch_add(1, std::memory_order_relaxed);
    });
  }
  support::await([&] { return arrived.load() == goroutines; });
  EXPECT_EQ(got_token, 0);
  EXPECT_EQ(turnkey::num_goroutines(), static_cast<std::size_t>(goroutines));
  tokens.release(goroutines);
  support::await([&] { return got_token.load() == goroutines; });
  EXPECT_EQ(passed, 0);
  EXPECT_EQ(turnkey::num_goroutines(), static_cast<std::size_t>(goroutines));
  gate.done();
  done.wait();
  EXPECT_EQ(passed, goroutines);
}

TEST(RuntimeStress, WhatManyStartAtOnceRunsOnceEach) {
  support::stress().run(at_once, [](const stage& where, int size, std::uint64_t) {
    constexpr int starters = 8;
    const int each = std::max(1, size / starters);
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(starters * each));
    wait_group done;
    {
      support::crew crew(where);
      for (int starter = 0; starter < starters; ++starter) {
        crew.start([&, starter] {
          for (int i = 0; i < each; ++i) {
            done.go([&run = runs[static_cast<std::size_t>(starter * each + i)]] { ++run; });
          }
        });
      }
    }
    done.wait();
    EXPECT_TRUE(std::ranges::all_of(runs, [](const std::atomic<int>& run) { return run == 1; }));
  });
}

namespace {

// A tree of goroutines, in which each starts its two children.
struct node {
  wait_group& group;
  std::atomic<int>& leaves;
  int depth;
  void operator()() const {
    if (depth == 0) {
      ++leaves;
      return;
    }
    group.go(node{group, leaves, depth - 1});
    group.go(node{group, leaves, depth - 1});
  }
};

}  // namespace

TEST(RuntimeStress, GoroutinesThatStartGoroutinesAllRun) {
  support::stress().run(at_once, [](const stage& where, int size, std::uint64_t) {
    int depth = 0;
    while ((4 << depth) <= size) ++depth;
    std::atomic<int> leaves{0};
    wait_group done;
    {
      support::crew crew(where);
      for (int tree = 0; tree < 2; ++tree) crew.start([&] { done.go(node{done, leaves, depth}); });
    }
    done.wait();
    EXPECT_EQ(leaves, 2 << depth);
  });
}

// Everybody waits for the same few things, and everybody is woken at once, round after round.
TEST(RuntimeStress, NoWakeIsLostInAStorm) {
  support::stress().run(is_sanitized ? 200 : 2'000, [](const stage& where, int size, std::uint64_t seed) {
    constexpr int rounds = 5;
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    int round_now = 0;  // guarded by mu
    // OS threads are dear: a storm of them is a small one.
    const int waiters = where.who == company::threads ? std::min(size, 16)
                        : where.who == company::both  ? std::min(size, 64)
                                                      : size;
    semaphore tokens(waiters);
    tokens.acquire(waiters);
    std::atomic<int> passes{0};
    wait_group round_done;
    round_done.add(waiters);
    support::crew crew(where);
    for (int i = 0; i < waiters; ++i) {
      crew.start([&, i] {
        dice luck(seed + static_cast<std::uint64_t>(i));
        for (int round = 1; round <= rounds; ++round) {
          {
            std::unique_lock hold(mu);
            changed.wait(hold, [&] { return round_now >= round; });
          }
          luck.dawdle();
          tokens.acquire();
          ++passes;
          round_done.done();
        }
      });
    }
    for (int round = 1; round <= rounds; ++round) {
      {
        const std::scoped_lock hold(mu);
        round_now = round;
      }
      changed.notify_all();
      tokens.release(waiters);
      round_done.wait();
      EXPECT_EQ(passes, round * waiters);
      if (round < rounds) round_done.add(waiters);
    }
  });
}

// A ring in which one token runs round: each step is one wake of one that is parked.
TEST(RuntimeStress, ATokenRunsRoundARing) {
  support::stress().run(is_sanitized ? 64 : 512, [](const stage& where, int size, std::uint64_t) {
    const int members = where.who == company::goroutines ? size + 1 : std::min(size + 1, 16);
    constexpr int rounds = 10;
    std::vector<std::unique_ptr<semaphore>> turns;
    for (int i = 0; i < members; ++i) {
      turns.push_back(std::make_unique<semaphore>(1));
      turns.back()->acquire();
    }
    int steps = 0;  // handed on with the token
    {
      support::crew crew(where);
      for (int i = 0; i < members; ++i) {
        crew.start([&, i] {
          for (int round = 0; round < rounds; ++round) {
            turns[static_cast<std::size_t>(i)]->acquire();
            ++steps;
            turns[static_cast<std::size_t>((i + 1) % members)]->release();
          }
        });
      }
      turns[0]->release();
    }
    EXPECT_EQ(steps, members * rounds);
  });
}

TEST(RuntimeStress, SleepsEndByTimeOrByStopAndNotBefore) {
  support::stress().run(is_sanitized ? 200 : 5'000, [](const stage& where, int size, std::uint64_t seed) {
    const int sleepers = where.who == company::goroutines ? size : std::min(size, 32);
    std::vector<std::stop_source> sources(8);
    std::atomic<int> awake{0};
    {
      support::crew crew(where);
      for (int i = 0; i < sleepers; ++i) {
        crew.start([&, i] {
          dice luck(seed + static_cast<std::uint64_t>(i));
          const std::stop_source& source = sources[static_cast<std::size_t>(luck.roll(8))];
          // The last sleeps end by a stop only.
          const std::chrono::nanoseconds period = i % 4 == 3 ? 1h : luck.moment();
          const auto start = std::chrono::steady_clock::now();
          const bool has_slept = turnkey::this_goroutine::sleep_for(period, source.get_token());
          if (has_slept) {
            EXPECT_GE(std::chrono::steady_clock::now() - start, period);
          } else {
            EXPECT_TRUE(source.stop_requested());
          }
          ++awake;
        });
      }
      dice luck(seed);
      for (std::stop_source& source : sources) {
        luck.dawdle();
        turnkey::this_goroutine::sleep_for(std::chrono::microseconds(luck.roll(200)));
        source.request_stop();
      }
    }
    EXPECT_EQ(awake, sleepers);
  });
}

// All kinds of waits at once, while the number of workers changes all the time.
TEST(RuntimeStress, WorkersComeAndGoUnderLoad) {
  const int before = turnkey::max_procs();
  support::stress().run(is_sanitized ? 100 : 1'000, [](const stage& where, int size, std::uint64_t seed) {
    const int workers = where.who == company::goroutines ? size : std::min(size, 32);
    constexpr int rounds = 20;
    turnkey::mutex mu;
    int sum = 0;  // guarded by mu
    semaphore slots(3);
    std::atomic<bool> is_over{false};
    std::jthread changer([&] {
      dice luck(seed);
      while (!is_over) {
        turnkey::set_max_procs(1 << luck.roll(5));
        turnkey::this_goroutine::sleep_for(std::chrono::microseconds(luck.roll(300)));
      }
    });
    {
      support::crew crew(where);
      for (int i = 0; i < workers; ++i) {
        crew.start([&, i] {
          dice luck(seed + static_cast<std::uint64_t>(i));
          for (int round = 0; round < rounds; ++round) {
            switch (luck.roll(6)) {
              case 0: turnkey::this_goroutine::sleep_for(luck.moment()); break;
              case 1:
                slots.acquire();
                luck.dawdle();
                slots.release();
                break;
              case 2: turnkey::blocking([] { std::this_thread::yield(); }); break;
              case 3: {
                wait_group child;
                child.go([] { turnkey::this_goroutine::yield(); });
                child.wait();
                break;
              }
              case 4:
                if (slots.try_acquire_for(luck.moment())) slots.release();
                break;
              default: turnkey::this_goroutine::yield();
            }
            const std::scoped_lock hold(mu);
            ++sum;
          }
        });
      }
    }
    is_over = true;
    turnkey::blocking([&] { changer.join(); });
    EXPECT_EQ(sum, workers * rounds);
  });
  turnkey::set_max_procs(before);
}
