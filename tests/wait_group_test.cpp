#include <turnkey/wait_group.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

static_assert(support::stays_where_it_is<turnkey::wait_group>);
static_assert(std::is_nothrow_default_constructible_v<turnkey::wait_group>);

namespace {

constinit turnkey::wait_group static_group;

bool is_at_zero(turnkey::wait_group& wg) { return wg.wait_for(0s); }

template <class F>
std::string logic_error_of(F f) {
  try {
    f();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "no std::logic_error";
}

struct waiting_form {
  const char* name;
  std::function<bool(turnkey::wait_group&)> wait;
};

// The forms that end only at zero.
std::vector<waiting_form> patient_forms() {
  using turnkey::wait_group;
  static const std::stop_source nobody_asks;
  return {
      {"untimed", [](wait_group& wg) { return wg.wait(), true; }},
      {"for an hour", [](wait_group& wg) { return wg.wait_for(1h); }},
      {"for the longest time", [](wait_group& wg) { return wg.wait_for(std::chrono::hours::max()); }},
      {"until the end of the steady clock",
       [](wait_group& wg) { return wg.wait_until(std::chrono::steady_clock::time_point::max()); }},
      {"until an hour from now by the wall clock",
       [](wait_group& wg) { return wg.wait_until(std::chrono::system_clock::now() + 1h); }},
      {"with a token that can never be stopped", [](wait_group& wg) { return wg.wait(std::stop_token()); }},
      {"with a token that nobody stops", [](wait_group& wg) { return wg.wait(nobody_asks.get_token()); }},
  };
}

}  // namespace

TEST(WaitGroup, IsReadyBeforeAnyConstructorRuns) {
  static_group.wait();
  static_group.add();
  EXPECT_FALSE(is_at_zero(static_group));
  static_group.done();
  EXPECT_TRUE(is_at_zero(static_group));
}

TEST(WaitGroup, WaitsForNothingAtZero) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group wg;
    for (const auto& form : patient_forms()) EXPECT_TRUE(form.wait(wg)) << form.name;
    EXPECT_TRUE(wg.wait_for(0s));
    EXPECT_TRUE(wg.wait_for(-1h));
    EXPECT_TRUE(wg.wait_until(std::chrono::steady_clock::time_point::min()));
    wg.add(3);
    wg.add(-3);
    wg.wait();
    wg.add(0);
    wg.wait();
  });
}

TEST(WaitGroup, WaitsForTheLastDone) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      turnkey::wait_group wg;
      std::array<support::watched, 3> waiters;
      std::atomic<int> released{0};
      wg.add(2);
      support::crew others(where);
      for (auto& waiter : waiters) {
        others.start(waiter, [&] {
          EXPECT_TRUE(form.wait(wg)) << form.name;
          ++released;
        });
      }
      for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
      wg.done();
      for (auto& waiter : waiters) EXPECT_TRUE(waiter.waits()) << form.name;
      EXPECT_EQ(released.load(), 0) << form.name;
      wg.done();
      others.join();
      EXPECT_EQ(released.load(), 3) << form.name;
    }
  });
}

TEST(WaitGroup, GivesUpWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage& where) {
    turnkey::wait_group wg;
    wg.add();
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          const auto before = std::chrono::steady_clock::now();
          EXPECT_FALSE(wg.wait_for(3ms));
          EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
          EXPECT_FALSE(wg.wait_for(-1h));
          EXPECT_FALSE(wg.wait_until(std::chrono::system_clock::now() - 1h));
        });
      }
    }
    wg.done();
    EXPECT_TRUE(is_at_zero(wg));
  });
}

TEST(WaitGroup, GivesUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    turnkey::wait_group wg;
    std::stop_source source;
    support::watched stopped;
    support::watched patient;
    wg.add();
    support::crew others(where);
    others.start(stopped, [&] { EXPECT_FALSE(wg.wait(source.get_token())); });
    others.start(patient, [&] { wg.wait(); });
    EXPECT_TRUE(stopped.comes_to_wait());
    EXPECT_TRUE(patient.comes_to_wait());
    source.request_stop();
    support::await([&] { return stopped.has_left(); });
    EXPECT_TRUE(patient.waits());
    EXPECT_FALSE(wg.wait(source.get_token())) << "requested before, not at zero";
    wg.done();
    others.join();
    EXPECT_TRUE(wg.wait(source.get_token())) << "requested before, at zero";
  });
}

// A stop, or the end of the time, comes together with the last done(). The group must survive it for the next round.
TEST(WaitGroup, LosesNobodyWhenAStopMeetsTheLastDone) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t rounds = 20;
    turnkey::wait_group wg;
    std::vector<std::stop_source> sources(rounds);
    support::start_line start(4);
    support::start_line collision(2);
    support::start_line finish(4);
    support::watched patient;
    support::crew others(where);
    others.start(patient, [&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        wg.wait();
        finish.wait();
      }
    });
    others.start([&] {
      support::dice luck(3);
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        if (!wg.wait(sources[i].get_token())) {
          static_cast<void>(wg.wait_for(std::chrono::microseconds(luck.roll(20))));
        }
        finish.wait();
      }
    });
    others.start([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        collision.wait();
        sources[i].request_stop();
        finish.wait();
      }
    });
    for (std::size_t i = 0; i < rounds; ++i) {
      wg.add();
      start.wait();
      if (i % 2 == 0) support::await([&] { return patient.waits(); });
      collision.wait();
      wg.done();
      finish.wait();
      EXPECT_TRUE(is_at_zero(wg));
    }
  });
}

TEST(WaitGroup, CountsToTheLargestInt) {
  constexpr int most = std::numeric_limits<int>::max();
  turnkey::wait_group wg;
  wg.add(most);
  EXPECT_FALSE(is_at_zero(wg));
  wg.add(-most + 1);
  EXPECT_FALSE(is_at_zero(wg));
  wg.done();
  EXPECT_TRUE(is_at_zero(wg));
}

TEST(WaitGroup, ThrowsAtANegativeCounterAndStaysThere) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group wg;
    EXPECT_EQ(logic_error_of([&] { wg.done(); }), "sync: negative WaitGroup counter");
    EXPECT_EQ(logic_error_of([&] { wg.done(); }), "sync: negative WaitGroup counter");
    EXPECT_EQ(logic_error_of([&] { wg.add(1); }), "sync: negative WaitGroup counter");
    wg.add(1);
    EXPECT_TRUE(is_at_zero(wg));
    wg.add(2);
    EXPECT_EQ(logic_error_of([&] { wg.add(-3); }), "sync: negative WaitGroup counter");
  });
}

TEST(WaitGroup, KeepsItsWaitersThroughANegativeCounter) {
  support::run_everywhere([](const stage& where) {
    turnkey::wait_group wg;
    support::watched waiter;
    wg.add(1);
    support::crew others(where);
    others.start(waiter, [&] { wg.wait(); });
    EXPECT_TRUE(waiter.comes_to_wait());
    EXPECT_EQ(logic_error_of([&] { wg.add(-2); }), "sync: negative WaitGroup counter");
    EXPECT_TRUE(waiter.waits());
    wg.add(2);
    EXPECT_TRUE(waiter.waits());
    wg.done();
  });
}

TEST(WaitGroup, IsUsedAgainAndAgain) {
  support::run_everywhere([](const stage& where) {
    constexpr int workers = 4;
    turnkey::wait_group wg;
    support::start_line next(workers + 1);
    std::array<int, workers> work{};
    support::crew others(where);
    for (int& mine : work) {
      others.start([&] {
        for (int round = 1; round <= 25; ++round) {
          next.wait();
          mine = round;
          wg.done();
        }
      });
    }
    for (int round = 1; round <= 25; ++round) {
      wg.add(workers);
      next.wait();
      wg.wait();
      for (const int theirs : work) EXPECT_EQ(theirs, round);
    }
  });
}

// Plain data: ThreadSanitizer objects if done() were not ordered before the wait() that it lets go, be it the last done()
// or an earlier one, and whether the waiter was already there or not.
TEST(WaitGroup, ShowsWhatWasDoneBeforeEveryDone) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t rounds = 40;
    struct round {
      turnkey::wait_group wg;
      std::array<int, 3> data{};
    };
    for (const auto& form : patient_forms()) {
      std::vector<round> all(rounds);
      for (auto& each : all) each.wg.add(3);
      support::crew others(where);
      for (std::size_t worker = 0; worker < 3; ++worker) {
        others.start([&, worker] {
          for (auto& each : all) {
            each.data[worker] = 1;
            each.wg.done();
            turnkey::this_goroutine::yield();
          }
        });
      }
      for (int waiter = 0; waiter < 2; ++waiter) {
        others.start([&] {
          for (auto& each : all) {
            EXPECT_TRUE(form.wait(each.wg)) << form.name;
            EXPECT_EQ(each.data[0] + each.data[1] + each.data[2], 3) << form.name;
          }
        });
      }
    }
  });
}

TEST(WaitGroup, MayBeDestroyedAsSoonAsWaitHasReturned) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<turnkey::wait_group> wg;
      support::watched waiter;
      support::crew others(where);
      wg->add(2);
      others.start([&] { wg->done(); });
      others.start(waiter, [&] {
        if (i % 4 < 2) {
          wg->wait();
        } else {
          EXPECT_TRUE(wg->wait_for(1h));
        }
        wg.end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      wg->done();
      others.join();
    }
  });
}

TEST(WaitGroup, RunsFunctionsInGoroutinesAndWaitsForThem) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group wg;
    std::array<int, 50> results{};
    for (int i = 0; i < 50; ++i) {
      wg.go(
          [](int number, int& result) {
            EXPECT_NE(turnkey::this_goroutine::get_id(), 0U);
            result = number + 1;
          },
          i, std::ref(results[static_cast<std::size_t>(i)]));
    }
    wg.wait();
    for (int i = 0; i < 50; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i + 1);
  });
}

TEST(WaitGroup, TakesOptionsForItsGoroutines) {
  turnkey::wait_group wg;
  bool has_run = false;
  wg.go({.name = "big", .stack_size = 1 << 20}, [&] {
    std::array<volatile char, 300 << 10> large;  // more than a default stack holds
    large.front() = 1;
    large.back() = large.front();
    has_run = large.back() == 1;
  });
  wg.wait();
  EXPECT_TRUE(has_run);
}

// A member function, a move-only argument and a move-only function.
TEST(WaitGroup, CallsWhateverCanBeInvoked) {
  struct account {
    int balance = 0;
    void deposit(std::unique_ptr<int> amount) { balance += *amount; }
  };
  turnkey::wait_group wg;
  account mine;
  wg.go(&account::deposit, &mine, std::make_unique<int>(7));
  wg.wait();
  EXPECT_EQ(mine.balance, 7);
  int sum = 0;
  wg.go([amount = std::make_unique<int>(3), &sum] { sum += *amount; });
  wg.wait();
  EXPECT_EQ(sum, 3);
}

// What the function holds dies on the goroutine; whoever waited must not see any of it alive. One relic can be moved, one
// can only be copied (as what a lambda captures from a const variable): no copy may be left behind either.
TEST(WaitGroup, HasDestroyedTheFunctionAndItsArgumentsWhenWaitReturns) {
  struct relic {
    explicit relic(std::atomic<int>* count) : alive(count) { ++*alive; }
    relic(const relic& other) : alive(other.alive) { ++*alive; }
    relic(relic&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
    ~relic() {
      if (alive == nullptr) return;
      turnkey::this_goroutine::yield();
      --*alive;
    }
    std::atomic<int>* alive;
  };
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 20; ++i) {
      turnkey::wait_group wg;
      std::atomic<int> in_function{0};
      std::atomic<int> in_constant{0};
      std::atomic<int> in_argument{0};
      {
        const relic constant(&in_constant);
        wg.go([held = relic(&in_function), constant](
                  const relic& given) { EXPECT_TRUE(*held.alive > 0 && *constant.alive > 0 && *given.alive > 0); },
              relic(&in_argument));
      }
      wg.wait();
      EXPECT_EQ(in_function.load(), 0);
      EXPECT_EQ(in_constant.load(), 0);
      EXPECT_EQ(in_argument.load(), 0);
    }
  });
}

TEST(WaitGroup, CountsNothingThatCouldNotBeStarted) {
  struct sour {
    sour() = default;
    sour(const sour&) { throw std::runtime_error("no copies today"); }
    void operator()() const { ADD_FAILURE(); }
  };
  turnkey::wait_group wg;
  const sour task;
  EXPECT_THROW(wg.go(task), std::runtime_error);
  EXPECT_TRUE(is_at_zero(wg));
  EXPECT_THROW(wg.go({.stack_size = std::size_t{2} << 30}, [] { ADD_FAILURE(); }), std::invalid_argument);
  EXPECT_TRUE(is_at_zero(wg));
}
