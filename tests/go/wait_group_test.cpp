// Go's tests of sync.WaitGroup. (TestIssue76126, an exception that leaves a task, is under tests/misuse.)
#include <turnkey/wait_group.hpp>

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <string>

#include "support.hpp"

using support::stage;

// TestWaitGroup: a barrier of two wait_groups, used again and again. Nobody passes the second one before the last done.
TEST(GoWaitGroup, LetsNobodyThroughBeforeTheLastDoneAndIsUsedAgain) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 16;
    turnkey::wait_group arrived;
    turnkey::wait_group may_leave;
    for (int round = 0; round < 8; ++round) {
      std::atomic<int> left{0};
      arrived.add(n);
      may_leave.add(n);
      support::crew others(where);
      for (int i = 0; i < n; ++i) {
        others.start([&] {
          arrived.done();
          may_leave.wait();
          ++left;
        });
      }
      arrived.wait();
      for (int i = 0; i < n; ++i) {
        EXPECT_EQ(left.load(), 0) << "released too early";
        may_leave.done();
      }
      others.join();
      EXPECT_EQ(left.load(), n);
    }
  });
}

// TestWaitGroupMisuse.
TEST(GoWaitGroup, ThrowsGosWordsWhenThereAreMoreDonesThanAdds) {
  turnkey::wait_group wg;
  wg.add(1);
  wg.done();
  try {
    wg.done();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::logic_error& error) {
    EXPECT_STREQ(error.what(), "sync: negative WaitGroup counter");
  }
}

// TestWaitGroupRace: Wait sees what both of two workers did. The data is plain, so ThreadSanitizer watches.
TEST(GoWaitGroup, ShowsWhatTwoWorkersDid) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 50; ++i) {
      turnkey::wait_group wg;
      std::array<int, 2> work{};
      support::crew others(where);
      for (int& mine : work) {
        wg.add(1);
        others.start([&] {
          mine = 1;
          wg.done();
        });
      }
      wg.wait();
      EXPECT_EQ(work[0] + work[1], 2);
    }
  });
}

// TestWaitGroupAlign: one that is not at the start of its struct works as well.
TEST(GoWaitGroup, WorksInTheMiddleOfAStruct) {
  struct odd {
    char x = 0;
    turnkey::wait_group wg;
  } it;
  it.wg.add(1);
  it.wg.go([&] { it.wg.done(); });
  it.wg.wait();
}

// TestWaitGroupGo.
TEST(GoWaitGroup, HasRunItsFunctionWhenWaitReturns) {
  turnkey::wait_group wg;
  int runs = 0;
  wg.go([&] { ++runs; });
  wg.wait();
  EXPECT_EQ(runs, 1);
}
