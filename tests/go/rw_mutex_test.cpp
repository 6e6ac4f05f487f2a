// Go's tests of sync.RWMutex.
#include <turnkey/rw_mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <shared_mutex>

#include "support.hpp"

using support::company;
using support::stage;

// TestParallelReaders: all readers hold the lock at once, however few may run at once.
TEST(GoRwMutex, IsHeldByAllReadersAtOnce) {
  for (const company who : {company::goroutines, company::both}) {
    struct numbers {
      int readers;
      int procs;
    };
    for (const auto [all, procs] : {numbers{1, 4}, numbers{3, 4}, numbers{4, 2}}) {
      const int readers = all;
      support::perform(stage{who, procs, who == company::goroutines}, [&](const stage& where) {
        turnkey::rw_mutex mu;
        std::atomic<int> inside{0};
        std::atomic<bool> may_leave{false};
        support::crew others(where);
        for (int i = 0; i < readers; ++i) {
          others.start([&] {
            mu.lock_shared();
            ++inside;
            support::await([&] { return may_leave.load(); });
            mu.unlock_shared();
          });
        }
        support::await([&] { return inside.load() == readers; });
        may_leave = true;
      });
    }
  }
}

namespace {

// HammerRWMutex: what is inside shows as readers + 10,000 * writers, and the two must never mix.
void hammer(const stage& where, int readers, int iterations) {
  turnkey::rw_mutex mu;
  std::atomic<int> activity{0};
  const auto read = [&] {
    for (int i = 0; i < iterations; ++i) {
      if (i % 4 == 0) {
        if (!mu.try_lock_shared()) continue;
      } else {
        mu.lock_shared();
      }
      const int inside = ++activity;
      EXPECT_TRUE(inside >= 1 && inside < 10'000) << inside;
      if (i % 16 == 0) turnkey::this_goroutine::yield();
      --activity;
      mu.unlock_shared();
    }
  };
  const auto write = [&] {
    for (int i = 0; i < iterations; ++i) {
      if (i % 4 == 0) {
        if (!mu.try_lock()) continue;
      } else {
        mu.lock();
      }
      EXPECT_EQ(activity += 10'000, 10'000);
      if (i % 16 == 0) turnkey::this_goroutine::yield();
      activity -= 10'000;
      mu.unlock();
    }
  };
  support::crew others(where);
  others.start(write);
  int started = 0;
  for (; started < readers / 2; ++started) others.start(read);
  others.start(write);
  for (; started < readers; ++started) others.start(read);
}

}  // namespace

// TestRWMutex, its first half: what can be had beside what.
TEST(GoRwMutex, IsTriedInVainAndSuccessfullyAsItsHoldersAllow) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    mu.lock();
    EXPECT_FALSE(mu.try_lock());
    EXPECT_FALSE(mu.try_lock_shared());
    mu.unlock();

    EXPECT_TRUE(mu.try_lock());
    EXPECT_FALSE(mu.try_lock_shared());
    mu.unlock();

    mu.lock_shared();
    EXPECT_TRUE(mu.try_lock_shared());
    EXPECT_FALSE(mu.try_lock());
    mu.unlock_shared();
    EXPECT_FALSE(mu.try_lock());
    mu.unlock_shared();
  });
}

// TestRWMutex, its second half: procs 1, 4, 10 by readers 1, 3, 5, 10.
TEST(GoRwMutex, SurvivesAHammerOfReadersAndWriters) {
  for (const int readers : {1, 3, 5, 10}) {
    support::perform(stage{company::threads, 0, false}, [&](const stage& where) { hammer(where, readers, 300); });
    for (const int procs : {1, 4, 10}) {
      for (const company who : {company::goroutines, company::both}) {
        support::perform(stage{who, procs, who == company::goroutines},
                         [&](const stage& where) { hammer(where, readers, 300); });
      }
    }
  }
}

// TestRLocker: a writer is kept out until both of two read locks taken through the view are given back.
TEST(GoRwMutex, KeepsAWriterOutForEveryLockOfItsReaderView) {
  support::run_everywhere([](const stage& where) {
    constexpr int rounds = 10;
    turnkey::rw_mutex mu;
    turnkey::reader view(mu);
    support::start_line next(2);
    support::start_line written(2);
    std::atomic<int> writes{0};
    support::crew others(where);
    others.start([&] {
      for (int i = 0; i < rounds; ++i) {
        next.wait();
        mu.lock();
        ++writes;
        mu.unlock();
        written.wait();
      }
    });
    for (int i = 0; i < rounds; ++i) {
      view.lock();
      view.lock();  // before the writer comes: behind a waiting writer this would be a deadlock
      next.wait();
      support::await([&] {
        const bool writer_waits = !view.try_lock();
        if (!writer_waits) view.unlock();
        return writer_waits;
      });
      view.unlock();
      EXPECT_FALSE(mu.try_lock());
      EXPECT_EQ(writes.load(), i);
      view.unlock();
      written.wait();
      EXPECT_EQ(writes.load(), i + 1);
    }
  });
}
