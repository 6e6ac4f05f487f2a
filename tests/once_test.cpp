#include <turnkey/once.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

static_assert(support::stays_where_it_is<turnkey::once>);
static_assert(std::is_nothrow_default_constructible_v<turnkey::once>);

namespace {

constinit turnkey::once static_once;

struct boom : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs f, which must throw a boom, and returns which one.
template <class F>
const void* boom_of(F f) {
  try {
    f();
  } catch (const boom& thrown) {
    return &thrown;
  }
  return nullptr;
}

}  // namespace

TEST(Once, IsReadyBeforeAnyConstructorRuns) {
  int runs = 0;
  static_once.call([&] { ++runs; });
  static_once.call([&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(Once, RunsTheFirstFunctionOnlyWhateverComesLater) {
  turnkey::once once;
  std::string ran;
  once.call([&] { ran += "first"; });
  once.call([&] { ran += "second"; });
  EXPECT_TRUE(once.call_for(1h, [&] { ran += "third"; }));
  EXPECT_TRUE(once.call(std::stop_token(), [&] { ran += "fourth"; }));
  EXPECT_EQ(ran, "first");
}

TEST(Once, TellsInEveryFormThatTheFunctionHasRun) {
  std::stop_source source;
  source.request_stop();
  int runs = 0;
  const auto count = [&] { ++runs; };
  {
    turnkey::once once;
    EXPECT_TRUE(once.call_for(-1h, count)) << "the caller that runs it has no limit";
    EXPECT_TRUE(once.call_for(-1h, count));
    EXPECT_TRUE(once.call_until(std::chrono::system_clock::now() - 1h, count));
    EXPECT_TRUE(once.call(source.get_token(), count));
  }
  EXPECT_EQ(runs, 1);
  {
    turnkey::once once;
    EXPECT_TRUE(once.call_until(std::chrono::steady_clock::time_point::min(), count));
  }
  EXPECT_EQ(runs, 2);
  {
    turnkey::once once;
    EXPECT_TRUE(once.call(source.get_token(), count));
  }
  EXPECT_EQ(runs, 3);
}

// The one that runs it is held up until all others wait; none of them may return before.
TEST(Once, MakesTheOthersWaitUntilTheFunctionHasReturned) {
  support::run_everywhere([](const stage& where) {
    turnkey::once once;
    const std::stop_source nobody_asks;
    std::array<support::watched, 6> waiters;
    std::atomic<bool> is_running{false};
    std::atomic<bool> may_end{false};
    int result = 0;
    support::crew others(where);
    others.start([&] {
      once.call([&] {
        is_running = true;
        support::await([&] { return may_end.load(); });
        result = 1;
      });
    });
    support::await([&] { return is_running.load(); });
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      others.start(waiters[i], [&, i] {
        const auto never = [] { ADD_FAILURE() << "ran twice"; };
        switch (i % 5) {
          case 0: once.call(never); break;
          case 1: EXPECT_TRUE(once.call_for(std::chrono::hours::max(), never)); break;
          case 2: EXPECT_TRUE(once.call_until(std::chrono::system_clock::now() + 1h, never)); break;
          case 3: EXPECT_TRUE(once.call(std::stop_token(), never)); break;
          default: EXPECT_TRUE(once.call(nobody_asks.get_token(), never));
        }
        EXPECT_EQ(result, 1);
      });
    }
    for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait());
    may_end = true;
  });
}

TEST(Once, IsGivenUpByThoseWhoseTimeIsOverOrWhoAreStopped) {
  support::run_everywhere([](const stage& where) {
    turnkey::once once;
    std::stop_source source;
    support::watched stopped;
    support::watched patient;
    std::atomic<bool> is_running{false};
    std::atomic<bool> may_end{false};
    const auto never = [] { ADD_FAILURE() << "ran twice"; };
    support::crew others(where);
    others.start([&] {
      once.call([&] {
        is_running = true;
        support::await([&] { return may_end.load(); });
      });
    });
    support::await([&] { return is_running.load(); });
    others.start(stopped, [&] { EXPECT_FALSE(once.call(source.get_token(), never)); });
    others.start(patient, [&] { once.call(never); });
    EXPECT_TRUE(stopped.comes_to_wait());
    EXPECT_TRUE(patient.comes_to_wait());
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(once.call_for(2ms, never));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 2ms);
    EXPECT_FALSE(once.call_for(-1h, never));
    EXPECT_FALSE(once.call_until(std::chrono::system_clock::now() - 1h, never));
    source.request_stop();
    support::await([&] { return stopped.has_left(); });
    EXPECT_FALSE(once.call(source.get_token(), never));
    EXPECT_TRUE(patient.waits());
    may_end = true;
    others.join();
    EXPECT_TRUE(once.call(source.get_token(), never));
  });
}

TEST(Once, CountsAnExceptionAsDoneAndGivesItToTheFirstCallerOnly) {
  support::run_everywhere([](const stage& where) {
    turnkey::once once;
    support::watched waiter;
    std::atomic<bool> is_running{false};
    std::atomic<int> caught{0};
    support::crew others(where);
    others.start([&] {
      try {
        once.call([&] {
          is_running = true;
          EXPECT_TRUE(waiter.comes_to_wait());
          throw boom("first");
        });
      } catch (const boom&) {
        ++caught;
      }
    });
    support::await([&] { return is_running.load(); });
    others.start(waiter, [&] { EXPECT_NO_THROW(once.call([] { ADD_FAILURE() << "ran twice"; })); });
    others.join();
    EXPECT_EQ(caught.load(), 1);
    EXPECT_TRUE(once.call_for(0s, [] { ADD_FAILURE() << "ran twice"; }));
  });
}

// Many threads of control race for many onces. Plain data shows that the function's end comes before every return.
TEST(Once, RunsOnceInARaceAndShowsToAllWhatWasDone) {
  support::run_everywhere([](const stage& where) {
    constexpr int runners = 5;
    constexpr std::size_t rounds = 60;
    struct round {
      turnkey::once once;
      int data = 0;
    };
    std::vector<round> all(rounds);
    support::start_line start(runners);
    support::crew others(where);
    for (int i = 0; i < runners; ++i) {
      others.start([&, i] {
        support::dice luck(static_cast<std::uint64_t>(i));
        start.wait();
        for (auto& each : all) {
          const auto prepare = [&] {
            luck.dawdle();
            ++each.data;
          };
          switch (luck.roll(3)) {
            case 0:
              while (!each.once.call_for(luck.moment(), prepare)) turnkey::this_goroutine::yield();
              break;
            default: each.once.call(prepare);
          }
          EXPECT_EQ(each.data, 1);
        }
      });
    }
  });
}

TEST(Once, MayCallAnotherOnceAndMayWaitInside) {
  support::run_everywhere([](const stage& where) {
    turnkey::once outer;
    turnkey::once inner;
    int runs = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([&] {
          outer.call([&] {
            turnkey::this_goroutine::sleep_for(1us);
            inner.call([&] { ++runs; });
          });
          inner.call([] { ADD_FAILURE(); });
        });
      }
    }
    EXPECT_EQ(runs, 1);
  });
}

// The waiter ends its life while the call that ran the function may still be on its way out.
TEST(Once, MayBeDestroyedByWhoeverWaitedForIt) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<turnkey::once> once;
      support::watched waiter;
      std::atomic<bool> is_running{false};
      support::crew others(where);
      others.start([&] {
        once->call([&] {
          is_running = true;
          if (i % 2 == 0) {
            EXPECT_TRUE(waiter.comes_to_wait());
          }
        });
      });
      support::await([&] { return is_running.load(); });
      others.start(waiter, [&] {
        once->call([] { ADD_FAILURE() << "ran twice"; });
        once.end();
      });
      others.join();
    }
  });
}

// Lazily, whichever copy is called, wherever.
TEST(OnceFunc, RunsAtTheFirstCallOfWhicheverCopy) {
  support::run_everywhere([](const stage& where) {
    int runs = 0;
    const auto start = turnkey::once_func([&runs] { ++runs; });
    const auto copy = start;
    EXPECT_EQ(runs, 0);
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([start] { start(); });
      }
      others.start([copy] { copy(); });
    }
    copy();
    start();
    EXPECT_EQ(runs, 1);
  });
}

TEST(OnceFunc, ThrowsTheSameExceptionEveryTimeAndRunsOnce) {
  support::run_everywhere([](const stage& where) {
    int runs = 0;
    const auto start = turnkey::once_func([&runs] {
      ++runs;
      throw boom("x");
    });
    const void* const first = boom_of(start);
    EXPECT_NE(first, nullptr);
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&, start] { EXPECT_EQ(boom_of(start), first); });
      }
    }
    EXPECT_EQ(boom_of(start), first);
    EXPECT_EQ(runs, 1);
  });
}

TEST(OnceFunc, DestroysTheFunctionAfterTheFirstCall) {
  for (const bool fails : {false, true}) {
    const auto token = std::make_shared<int>(0);
    const auto start = turnkey::once_func([token, fails] {
      if (fails) throw boom("x");
    });
    EXPECT_EQ(token.use_count(), 2);
    EXPECT_EQ(boom_of(start) != nullptr, fails);
    EXPECT_EQ(token.use_count(), 1);
  }
}

TEST(OnceFunc, TakesAFunctionThatCanOnlyBeMoved) {
  int sum = 0;
  const auto start = turnkey::once_func([amount = std::make_unique<int>(3), &sum] { sum += *amount; });
  start();
  start();
  EXPECT_EQ(sum, 3);
}

TEST(OnceValue, ReturnsTheOneResultToAll) {
  support::run_everywhere([](const stage& where) {
    int runs = 0;
    const auto config = turnkey::once_value([&runs] {
      ++runs;
      return std::vector<int>{1, 2, 3};
    });
    EXPECT_EQ(runs, 0);
    std::array<const std::vector<int>*, 5> seen{};
    {
      support::crew others(where);
      for (auto& mine : seen) {
        others.start([&mine, config] {
          mine = &config();
          EXPECT_EQ(mine->size(), 3U);
        });
      }
    }
    for (const auto* theirs : seen) EXPECT_EQ(theirs, &config());
    EXPECT_EQ(runs, 1);
  });
}

TEST(OnceValue, ThrowsTheSameExceptionEveryTimeAndRunsOnce) {
  int runs = 0;
  const auto config = turnkey::once_value([&runs]() -> int {
    ++runs;
    throw boom("x");
  });
  const void* const first = boom_of(config);
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(boom_of(config), first);
  EXPECT_EQ(boom_of(config), first);
  EXPECT_EQ(runs, 1);
}

TEST(OnceValue, DestroysTheFunctionAfterTheFirstCallAndTheResultWithTheLastCopy) {
  const auto token = std::make_shared<int>(0);
  {
    const auto config = turnkey::once_value([token] { return std::make_pair(token, 1); });
    EXPECT_EQ(token.use_count(), 2);
    config();
    EXPECT_EQ(token.use_count(), 2) << "the function is gone, the result is there";
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(OnceValue, TakesAResultThatCanOnlyBeMoved) {
  const auto config = turnkey::once_value([] { return std::make_unique<int>(7); });
  static_assert(std::is_same_v<decltype(config()), const std::unique_ptr<int>&>);
  EXPECT_EQ(*config(), 7);
  EXPECT_EQ(config().get(), config().get());
}
