// Go's tests of golang.org/x/sync/errgroup.
#include <turnkey/task_group.hpp>

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "support.hpp"

using support::stage;
using turnkey::task_group;

namespace {

// An outcome a task may have: no error, or one with this name.
using outcome = std::optional<std::string>;

void perform(const outcome& error) {
  if (error) throw *error;
}

outcome result_of(task_group& g) {
  try {
    g.wait();
  } catch (const std::string& error) {
    return error;
  }
  return std::nullopt;
}

const outcome none;
const outcome first = "first";
const outcome second = "second";
const std::array<std::vector<outcome>, 5> cases{{{}, {none}, {first}, {first, none}, {first, none, second}}};

}  // namespace

// TestZeroGroup: after each further task, wait gives the first error so far.
TEST(GoErrgroup, KeepsTheFirstErrorOfTasksOneAfterTheOther) {
  support::run_everywhere([](const stage&) {
    for (const auto& outcomes : cases) {
      task_group g;
      outcome expected;
      for (const outcome& each : outcomes) {
        g.go([&each] { perform(each); });
        if (!expected) expected = each;
        EXPECT_EQ(result_of(g), expected);
      }
    }
  });
}

// TestWithContext: the stop is requested if there was an error. (Ours is not requested by a wait without one: a task_group
// may be used again.)
TEST(GoErrgroup, RequestsTheStopWhenATaskFails) {
  support::run_everywhere([](const stage&) {
    for (const auto& outcomes : cases) {
      task_group g;
      bool has_error = false;
      for (const outcome& each : outcomes) {
        g.go([&each] { perform(each); });
        has_error = has_error || each;
      }
      EXPECT_EQ(result_of(g).has_value(), has_error);
      EXPECT_EQ(g.stop_token().stop_requested(), has_error);
    }
  });
}

// TestTryGo: 42 fit, the 43rd does not; after they ended, one fits again. Then a group of one.
TEST(GoErrgroup, TakesTasksUpToItsLimitAndRefusesTheNext) {
  support::run_everywhere([](const stage&) {
    constexpr int n = 42;
    task_group g(n);
    std::atomic<bool> may_end{false};
    const auto task = [&] { support::await([&] { return may_end.load(); }); };
    for (int i = 0; i < n; ++i) EXPECT_TRUE(g.try_go(task)) << i;
    EXPECT_FALSE(g.try_go(task));
    may_end = true;
    g.wait();
    EXPECT_TRUE(g.try_go(task));
    g.wait();

    may_end = false;
    task_group one(1);
    EXPECT_TRUE(one.try_go(task));
    EXPECT_FALSE(one.try_go(task));
    may_end = true;
    one.wait();
  });
}

// TestGoLimit: never more at once than the limit, though go() is called far more often.
TEST(GoErrgroup, NeverRunsMoreAtOnceThanItsLimit) {
  support::run_everywhere([](const stage&) {
    constexpr int limit = 10;
    task_group g(limit);
    std::atomic<int> active{0};
    for (int i = 0; i <= 300; ++i) {
      g.go([&] {
        EXPECT_LE(++active, limit);
        turnkey::this_goroutine::yield();
        --active;
      });
    }
    g.wait();
  });
}

// TestCancelCause: a task that is stopped by another one's error ends, and the error is the other one's.
TEST(GoErrgroup, ReportsTheErrorThatCausedTheStop) {
  support::run_everywhere([](const stage&) {
    task_group g;
    g.go([&] {
      support::await([&] { return g.stop_token().stop_requested(); });
      throw std::string("stopped");
    });
    g.go([] { throw std::string("cause"); });
    EXPECT_EQ(result_of(g), "cause");
  });
}
