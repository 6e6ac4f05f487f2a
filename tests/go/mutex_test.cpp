// Go's tests of sync.Mutex. (TestMutexMisuse is under tests/misuse: it ends the process.)
#include <turnkey/mutex.hpp>

#include <gtest/gtest.h>

#include <chrono>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

// TestMutex, its first half.
TEST(GoMutex, IsTriedInVainWhileLockedAndSuccessfullyWhenFree) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    mu.lock();
    EXPECT_FALSE(mu.try_lock());
    mu.unlock();
    EXPECT_TRUE(mu.try_lock());
    EXPECT_FALSE(mu.try_lock());
    mu.unlock();
  });
}

// TestMutex, its second half: HammerMutex.
TEST(GoMutex, SurvivesAHammerOfLocksAndTries) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    long held = 0;
    std::atomic<long> taken{0};
    {
      support::crew hammers(where);
      for (int i = 0; i < 10; ++i) {
        hammers.start([&] {
          long mine = 0;
          for (int k = 0; k < 1000; ++k) {
            if (k % 3 == 0) {
              if (!mu.try_lock()) continue;
            } else {
              mu.lock();
            }
            ++held;
            mu.unlock();
            ++mine;
          }
          taken += mine;
        });
      }
    }
    EXPECT_EQ(held, taken.load());
  });
}

// TestMutexFairness: one holds the mutex for 100 us at a time and takes it back at once; another one sleeps 100 us
// between its locks. The second one must get through ten times.
TEST(GoMutex, IsSharedFairlyWithOneWhoSleepsBetweenItsLocks) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    std::atomic<bool> is_over{false};
    support::crew others(where);
    others.start([&] {
      while (!is_over.load(std::memory_order_relaxed)) {
        mu.lock();
        const auto until = std::chrono::steady_clock::now() + 100us;
        while (std::chrono::steady_clock::now() < until) {
        }
        mu.unlock();
      }
    });
    for (int i = 0; i < 10; ++i) {
      turnkey::this_goroutine::sleep_for(100us);
      mu.lock();
      mu.unlock();
    }
    is_over = true;
  });
}
