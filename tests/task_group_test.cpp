#include <turnkey/task_group.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::task_group;

static_assert(support::stays_where_it_is<task_group>);
static_assert(!std::is_convertible_v<std::size_t, task_group>);

namespace {

struct boom : std::runtime_error {
  explicit boom(int which) : std::runtime_error("boom"), number(which) {}
  int number;
};

// Waits for the tasks and returns the number of the boom that wait() throws, 0 if it throws nothing.
int boom_of(task_group& tasks) {
  try {
    tasks.wait();
  } catch (const boom& thrown) {
    return thrown.number;
  }
  return 0;
}

}  // namespace

TEST(TaskGroup, WaitsForAllItsTasks) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    tasks.wait();
    std::array<int, 30> results{};
    for (std::size_t i = 0; i < results.size(); ++i) {
      tasks.go([&results, i] {
        turnkey::this_goroutine::yield();
        results[i] = 1;
      });
    }
    tasks.wait();
    for (const int result : results) EXPECT_EQ(result, 1);
    EXPECT_FALSE(tasks.stop_token().stop_requested());
    tasks.go([&] { results[0] = 2; });
    tasks.wait();
    EXPECT_EQ(results[0], 2);
  });
}

TEST(TaskGroup, CallsWhateverCanBeInvoked) {
  struct account {
    int balance = 0;
    void deposit(std::unique_ptr<int> amount) { balance += *amount; }
  };
  task_group tasks(1);
  account mine;
  tasks.go(&account::deposit, &mine, std::make_unique<int>(7));
  tasks.go([](int& balance) { ++balance; }, std::ref(mine.balance));
  tasks.go(
      {.name = "named", .stack_size = 128 << 10}, [](int& balance) { ++balance; }, std::ref(mine.balance));
  tasks.wait();
  EXPECT_EQ(mine.balance, 9);
}

TEST(TaskGroup, RethrowsTheFirstExceptionEveryTimeAndDropsTheRest) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    for (int i = 1; i <= 5; ++i) {
      tasks.go([&, i] {
        if (i != 3) {
          support::await([&] { return tasks.stop_token().stop_requested(); });
          throw boom(i);
        }
        throw boom(3);
      });
    }
    EXPECT_EQ(boom_of(tasks), 3);
    EXPECT_EQ(boom_of(tasks), 3);
    tasks.go([] { throw boom(9); });
    EXPECT_EQ(boom_of(tasks), 3);
    EXPECT_THROW(static_cast<void>(tasks.wait_for(0s)), boom);
    EXPECT_THROW(static_cast<void>(tasks.wait_until(std::chrono::steady_clock::time_point::max())), boom);
    EXPECT_THROW(static_cast<void>(tasks.wait(std::stop_token())), boom);
  });
}

TEST(TaskGroup, KeepsAnExceptionOfAnyType) {
  task_group tasks;
  tasks.go([] { throw 42; });
  try {
    tasks.wait();
    ADD_FAILURE() << "nothing was thrown";
  } catch (int number) {
    EXPECT_EQ(number, 42);
  }
}

TEST(TaskGroup, RequestsTheStopAtTheFirstException) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    std::atomic<int> stopped{0};
    for (int i = 0; i < 3; ++i) {
      tasks.go([&] {
        EXPECT_FALSE(turnkey::this_goroutine::sleep_for(1h, tasks.stop_token()));
        ++stopped;
      });
    }
    EXPECT_FALSE(tasks.stop_token().stop_requested());
    tasks.go([] { throw boom(1); });
    EXPECT_EQ(boom_of(tasks), 1);
    EXPECT_EQ(stopped.load(), 3);
    EXPECT_TRUE(tasks.stop_token().stop_requested());
  });
}

TEST(TaskGroup, ForgetsNoTaskWhenOneThrows) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 20; ++i) {
      task_group tasks;
      int finished = 0;
      tasks.go([] { throw boom(1); });
      tasks.go([&] {
        for (int k = 0; k < 5; ++k) turnkey::this_goroutine::yield();
        finished = 1;
      });
      EXPECT_EQ(boom_of(tasks), 1);
      EXPECT_EQ(finished, 1);
    }
  });
}

TEST(TaskGroup, StopsAndAwaitsItsTasksWhenDestroyed) {
  support::run_everywhere([](const stage&) {
    int finished = 0;
    {
      task_group tasks;
      tasks.go([&, token = tasks.stop_token()] {
        EXPECT_FALSE(turnkey::this_goroutine::sleep_for(1h, token));
        turnkey::this_goroutine::yield();
        finished = 1;
        throw boom(1);  // nobody will see it
      });
    }
    EXPECT_EQ(finished, 1);
  });
}

TEST(TaskGroup, GivesUpWaitingWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    std::atomic<bool> may_end{false};
    tasks.go([&] { support::await([&] { return may_end.load(); }); });
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(tasks.wait_for(3ms));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
    EXPECT_FALSE(tasks.wait_for(-1h));
    EXPECT_FALSE(tasks.wait_until(std::chrono::system_clock::now() - 1h));
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(tasks.wait(source.get_token()));
    may_end = true;
    EXPECT_TRUE(tasks.wait_for(std::chrono::hours::max()));
    EXPECT_TRUE(tasks.wait(source.get_token()));
  });
}

TEST(TaskGroup, GivesUpWaitingWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    task_group tasks;
    std::atomic<bool> may_end{false};
    std::stop_source source;
    support::watched waiter;
    tasks.go([&] { support::await([&] { return may_end.load(); }); });
    {
      support::crew others(where);
      others.start(waiter, [&] { EXPECT_FALSE(tasks.wait(source.get_token())); });
      EXPECT_TRUE(waiter.comes_to_wait());
      source.request_stop();
    }
    may_end = true;
    tasks.wait();
  });
}

TEST(TaskGroup, RunsNoMoreTasksAtOnceThanItsLimit) {
  support::run_everywhere([](const stage&) {
    for (const std::size_t limit : {1U, 2U, 5U}) {
      task_group tasks(limit);
      std::atomic<std::size_t> running{0};
      std::atomic<int> runs{0};
      for (int i = 0; i < 40; ++i) {
        tasks.go([&] {
          EXPECT_LE(++running, limit);
          turnkey::this_goroutine::yield();
          ++runs;
          --running;
        });
      }
      tasks.wait();
      EXPECT_EQ(runs.load(), 40);
    }
  });
}

TEST(TaskGroup, WaitsInGoWhileItIsAtItsLimit) {
  support::run_everywhere([](const stage& where) {
    task_group tasks(2);
    std::atomic<bool> may_end{false};
    std::atomic<int> started{0};
    support::watched caller;
    const auto task = [&] {
      ++started;
      support::await([&] { return may_end.load(); });
    };
    tasks.go(task);
    EXPECT_TRUE(tasks.try_go(task));
    EXPECT_FALSE(tasks.try_go(task));
    {
      support::crew others(where);
      others.start(caller, [&] { tasks.go(task); });
      EXPECT_TRUE(caller.comes_to_wait());
      support::await([&] { return started.load() == 2; });
      may_end = true;
    }
    tasks.wait();
    EXPECT_EQ(started.load(), 3);
    EXPECT_TRUE(tasks.try_go(task));
    EXPECT_TRUE(tasks.try_go(task));
    tasks.wait();
    EXPECT_EQ(started.load(), 5);
  });
}

TEST(TaskGroup, GivesUpStartingWhenItStaysAtItsLimit) {
  support::run_everywhere([](const stage& where) {
    task_group tasks(1);
    std::atomic<bool> may_end{false};
    tasks.go([&] { support::await([&] { return may_end.load(); }); });
    const auto never = [] { ADD_FAILURE(); };
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(tasks.try_go_for(2ms, never));
    EXPECT_FALSE(tasks.try_go_until(begin + 4ms, never));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 4ms);
    EXPECT_FALSE(tasks.try_go_for(-1s, never));

    std::stop_source stop;
    support::watched caller;
    {
      support::crew others(where);
      others.start(caller, [&] { EXPECT_FALSE(tasks.go(stop.get_token(), never)); });
      EXPECT_TRUE(caller.comes_to_wait());
      stop.request_stop();
    }
    EXPECT_FALSE(tasks.go(stop.get_token(), never));
    may_end = true;
    tasks.wait();
    EXPECT_FALSE(tasks.go(stop.get_token(), never)) << "a stop that was requested before does not try";

    int runs = 0;
    EXPECT_TRUE(tasks.go(
        std::stop_token(), [&](int n) { runs += n; }, 1));
    EXPECT_TRUE(tasks.try_go_for(
        10min, [&](int n) { runs += n; }, 10));
    EXPECT_TRUE(tasks.try_go_until(
        std::chrono::system_clock::now() + 10min, [&](int n) { runs += n; }, 100));
    tasks.wait();
    EXPECT_TRUE(tasks.try_go_for(-1s, [&] { runs += 1000; })) << "a time that has passed still tries once";
    tasks.wait();
    EXPECT_EQ(runs, 1111);
  });
}

TEST(TaskGroup, StartsAtOnceIfItHasNoLimitUnlessItIsStopped) {
  task_group tasks;
  std::atomic<int> runs{0};
  const auto task = [&] { ++runs; };
  EXPECT_TRUE(tasks.try_go_for(-1s, task));
  EXPECT_TRUE(tasks.try_go_until(std::chrono::steady_clock::time_point::min(), task));
  EXPECT_TRUE(tasks.go(tasks.stop_token(), task));
  tasks.wait();
  EXPECT_EQ(runs.load(), 3);
  tasks.go([] { throw boom(7); });
  EXPECT_EQ(boom_of(tasks), 7);
  EXPECT_FALSE(tasks.go(tasks.stop_token(), task));
  EXPECT_EQ(runs.load(), 3);
}

// The token that nobody has asked for so far is made when somebody does.
TEST(TaskGroup, GivesATokenThatIsStoppedAlsoToWhoAsksLate) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    tasks.go([] { throw boom(1); });
    EXPECT_EQ(boom_of(tasks), 1);
    EXPECT_TRUE(tasks.stop_token().stop_requested());

    std::stop_token seen;
    {
      task_group ending;
      ending.go([&] {
        while (!ending.stop_token().stop_requested()) turnkey::this_goroutine::yield();
        seen = ending.stop_token();
      });
    }
    EXPECT_TRUE(seen.stop_requested());
  });
}

// What is called on a stop may use the group.
TEST(TaskGroup, MayBeAskedForItsTokenByWhoIsStopped) {
  task_group tasks;
  bool was_requested = false;
  const std::stop_callback at_stop(tasks.stop_token(), [&] { was_requested = tasks.stop_token().stop_requested(); });
  tasks.go([] { throw boom(1); });
  EXPECT_EQ(boom_of(tasks), 1);
  EXPECT_TRUE(was_requested);
}

constinit task_group tasks_of_the_program(2);

TEST(TaskGroup, CanBeConstantInitialized) {
  std::atomic<int> runs{0};
  for (int i = 0; i < 10; ++i) tasks_of_the_program.go([&] { ++runs; });
  tasks_of_the_program.wait();
  EXPECT_EQ(runs.load(), 10);
}

TEST(TaskGroup, GivesItsPlacesBackWhenTasksThrow) {
  support::run_everywhere([](const stage&) {
    task_group tasks(2);
    for (int i = 0; i < 20; ++i) tasks.go([] { throw boom(1); });
    EXPECT_EQ(boom_of(tasks), 1);
    EXPECT_TRUE(tasks.try_go([] {}));
    EXPECT_EQ(boom_of(tasks), 1);
  });
}

TEST(TaskGroup, HasNoLimitIfNoneIsGiven) {
  support::run_everywhere([](const stage&) {
    constexpr int count = 100;
    task_group tasks;
    std::atomic<int> inside{0};
    for (int i = 0; i < count; ++i) {
      EXPECT_TRUE(tasks.try_go([&] {
        ++inside;
        support::await([&] { return inside.load() == count; });
      }));
    }
    tasks.wait();
  });
}

TEST(TaskGroup, LetsTasksAddTasks) {
  support::run_everywhere([](const stage&) {
    task_group tasks;
    std::atomic<int> leaves{0};
    const std::function<void(int)> grow = [&](int height) {
      if (height == 0) {
        ++leaves;
      } else {
        tasks.go(grow, height - 1);
        tasks.go(grow, height - 1);
      }
    };
    tasks.go(grow, 5);
    tasks.wait();
    EXPECT_EQ(leaves.load(), 32);
  });
}

TEST(TaskGroup, IsAsBeforeWhenATaskCouldNotBeStarted) {
  struct sour {
    sour() = default;
    sour(const sour&) { throw std::runtime_error("no copies today"); }
    void operator()() const { ADD_FAILURE(); }
  };
  task_group tasks(1);
  const sour task;
  EXPECT_THROW(tasks.go(task), std::runtime_error);
  EXPECT_THROW(static_cast<void>(tasks.try_go(task)), std::runtime_error);
  EXPECT_THROW(tasks.go({.stack_size = std::size_t{2} << 30}, [] { ADD_FAILURE(); }), std::invalid_argument);
  EXPECT_TRUE(tasks.try_go([] {})) << "the place was not given back";
  tasks.wait();
  EXPECT_FALSE(tasks.stop_token().stop_requested());
}

TEST(TaskGroup, RefusesALimitThatNoSemaphoreHas) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  EXPECT_THROW(task_group{most}, std::invalid_argument);
}

// What a task holds dies before wait() returns, also if it threw. `constant` can only be copied into the task.
TEST(TaskGroup, HasDestroyedItsTasksWhenWaitReturns) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 20; ++i) {
      const bool fails = i % 2 == 0;
      auto token = std::make_shared<int>(0);
      const std::shared_ptr<int> constant = token;
      task_group tasks(1);
      tasks.go(
          [fails, token, constant](const std::shared_ptr<int>& given) {
            EXPECT_EQ(token, given);
            EXPECT_EQ(constant, given);
            if (fails) throw boom(1);
          },
          token);
      EXPECT_EQ(boom_of(tasks) != 0, fails);
      EXPECT_EQ(token.use_count(), 2);
    }
  });
}

// The waiter destroys the group while the last task may still be on its way out.
TEST(TaskGroup, MayBeDestroyedAsSoonAsWaitHasReturned) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<task_group> tasks(2U);
      for (int k = 0; k < 4; ++k) {
        tasks->go([k] {
          if (k == 2) throw boom(k);
        });
      }
      EXPECT_EQ(boom_of(*tasks), 2);
      tasks.end();
    }
  });
}
