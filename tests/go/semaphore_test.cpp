// Go's tests of golang.org/x/sync/semaphore, and of the semaphore under sync.Mutex.
#include <turnkey/semaphore.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <stop_token>

#include "support.hpp"

using support::stage;
using turnkey::semaphore;

// TestSemaphore (sync): ten hammer a semaphore of one.
TEST(GoSemaphore, SurvivesAHammerOnOneToken) {
  support::run_everywhere([](const stage& where) {
    semaphore s(1);
    long held = 0;
    {
      support::crew hammers(where);
      for (int i = 0; i < 10; ++i) {
        hammers.start([&] {
          for (int k = 0; k < 200; ++k) {
            s.acquire();
            ++held;
            s.release();
          }
        });
      }
    }
    EXPECT_EQ(held, 2000);
  });
}

// TestWeighted: each hammers with a weight of its own.
TEST(GoSemaphore, SurvivesAHammerOfDifferentWeights) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 8;
    semaphore s(n);
    std::atomic<int> out{0};
    {
      support::crew hammers(where);
      for (int i = 1; i <= n; ++i) {
        hammers.start([&, i] {
          for (int k = 0; k < 100; ++k) {
            s.acquire(i);
            EXPECT_LE(out += i, n);
            if (k % 8 == 0) turnkey::this_goroutine::yield();
            out -= i;
            s.release(i);
          }
        });
      }
    }
    EXPECT_TRUE(s.try_acquire(n));
  });
}

// TestWeightedPanic.
TEST(GoSemaphore, ThrowsAtAReleaseOfWhatNobodyHolds) {
  semaphore s(1);
  try {
    s.release(1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::logic_error& error) {
    EXPECT_STREQ(error.what(), "semaphore: released more than held");
  }
}

// TestWeightedTryAcquire.
TEST(GoSemaphore, IsTriedSuccessfullyAsFarAsTheTokensGo) {
  semaphore s(2);
  s.acquire(1);
  EXPECT_TRUE(s.try_acquire(1));
  EXPECT_FALSE(s.try_acquire(1));
  s.release(2);
  EXPECT_TRUE(s.try_acquire(1));
  s.acquire(1);
  EXPECT_FALSE(s.try_acquire(1));
  s.release(2);
}

// TestWeightedAcquire: the same by acquisitions that are given up.
TEST(GoSemaphore, IsGivenUpBeyondTheTokens) {
  using namespace std::chrono_literals;
  support::run_everywhere([](const stage&) {
    semaphore s(2);
    s.acquire(1);
    EXPECT_TRUE(s.try_acquire_for(1ms, 1));
    EXPECT_FALSE(s.try_acquire_for(1ms, 1));
    s.release(2);
    EXPECT_TRUE(s.try_acquire_for(1ms, 1));
    s.acquire(1);
    EXPECT_FALSE(s.try_acquire_for(1ms, 1));
    s.release(2);
  });
}

// TestWeightedDoesntBlockIfTooBig: who asks for more than there is waits alone.
TEST(GoSemaphore, BlocksNobodyForARequestThatIsTooBig) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 2;
    semaphore s(n);
    std::stop_source giant_gives_up;
    support::crew others(where);
    others.start([&] { EXPECT_FALSE(s.acquire(giant_gives_up.get_token(), n + 1)); });
    {
      support::crew small(where);
      for (int i = 0; i < 6; ++i) {
        small.start([&] {
          for (int k = 0; k < 20; ++k) {
            s.acquire(1);
            turnkey::this_goroutine::yield();
            s.release(1);
          }
        });
      }
    }
    giant_gives_up.request_stop();
  });
}

// TestLargeAcquireDoesntStarve: small ones that follow each other without a gap, and one that wants it all.
TEST(GoSemaphore, DoesNotStarveALargeRequest) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 4;
    semaphore s(n);
    std::atomic<bool> is_over{false};
    std::atomic<int> started{0};
    support::crew others(where);
    for (int i = 0; i < n; ++i) {
      others.start([&] {
        s.acquire(1);
        ++started;
        while (!is_over) {
          turnkey::this_goroutine::yield();
          s.release(1);
          s.acquire(1);
        }
        s.release(1);
      });
    }
    support::await([&] { return started.load() == n; });
    s.acquire(n);
    is_over = true;
    s.release(n);
  });
}

// TestAllocCancelDoesntStarve: a large request at the head is given up; the small one behind it fits and must go.
TEST(GoSemaphore, ServesTheNextWhenTheHeadGivesUp) {
  support::run_everywhere([](const stage& where) {
    semaphore s(10);
    std::stop_source large_gives_up;
    support::watched large;
    s.acquire(1);
    support::crew others(where);
    others.start(large, [&] { EXPECT_FALSE(s.acquire(large_gives_up.get_token(), 10)); });
    EXPECT_TRUE(large.comes_to_wait());
    support::watched small;
    others.start(small, [&] { s.acquire(1); });
    EXPECT_TRUE(small.comes_to_wait());
    large_gives_up.request_stop();
    support::await([&] { return small.has_left(); });
    others.join();
  });
}

// TestWeightedAcquireCanceled: nothing is taken with a stop requested, though the tokens are there.
TEST(GoSemaphore, GivesNothingToOneWhoIsStoppedAlready) {
  semaphore s(2);
  std::stop_source source;
  s.acquire(1);
  source.request_stop();
  EXPECT_FALSE(s.acquire(source.get_token(), 1));
  s.release(1);
  EXPECT_TRUE(s.try_acquire(2));
}
