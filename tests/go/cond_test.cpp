// Go's tests of sync.Cond. (TestCondCopy does not compile here: tests/compile_fail.)
#include <turnkey/condition_variable.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include <turnkey/mutex.hpp>

#include "support.hpp"

using support::stage;

namespace {

// True once `counter`, which `mu` guards, is n: whoever counts and then waits with `mu` is waiting by then.
void await_count(turnkey::mutex& mu, const int& counter, int n) {
  support::await([&] {
    const std::scoped_lock hold(mu);
    return counter == n;
  });
}

}  // namespace

// TestCondSignal: each of two signals brings out exactly one of two waiters.
TEST(GoCond, WakesExactlyOneForEachNotify) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 2;
    turnkey::mutex mu;
    turnkey::condition_variable cond;
    int running = 0;
    int awake = 0;
    support::crew others(where);
    for (int i = 0; i < n; ++i) {
      others.start([&] {
        std::unique_lock hold(mu);
        ++running;
        cond.wait(hold);
        ++awake;
      });
    }
    await_count(mu, running, n);
    for (int i = 0; i < n; ++i) {
      {
        const std::scoped_lock hold(mu);
        EXPECT_EQ(awake, i);
        cond.notify_one();
      }
      await_count(mu, awake, i + 1);
      for (int k = 0; k < 10; ++k) turnkey::this_goroutine::yield();
      const std::scoped_lock hold(mu);
      EXPECT_EQ(awake, i + 1) << "more than one woke up";
    }
    cond.notify_one();
  });
}

// TestCondSignalGenerations: 100 waiters wake in the order of their waits.
TEST(GoCond, WakesGenerationsInTheirOrder) {
  support::run_everywhere([](const stage& where) {
    const int n = where.who == support::company::goroutines ? 100 : 20;
    turnkey::mutex mu;
    turnkey::condition_variable cond;
    int running = 0;
    std::vector<int> woken;
    {
      support::crew others(where);
      for (int i = 0; i < n; ++i) {
        others.start([&, i] {
          std::unique_lock hold(mu);
          ++running;
          cond.wait(hold);
          woken.push_back(i);
          cond.notify_one();
        });
        await_count(mu, running, i + 1);
      }
      cond.notify_one();
    }
    ASSERT_EQ(static_cast<int>(woken.size()), n);
    for (int i = 0; i < n; ++i) EXPECT_EQ(woken[static_cast<std::size_t>(i)], i);
  });
}

// TestCondBroadcast: many waiters, many rounds, each wakes exactly once a round.
TEST(GoCond, WakesEachWaiterOncePerBroadcast) {
  support::run_everywhere([](const stage& where) {
    const int n = where.who == support::company::goroutines ? 60 : 6;
    constexpr int rounds = 20;
    turnkey::mutex mu;
    turnkey::condition_variable cond;
    int waiting = 0;
    bool is_over = false;
    std::vector<int> wakes(static_cast<std::size_t>(n), 0);
    {
      support::crew others(where);
      for (int& mine : wakes) {
        others.start([&] {
          std::unique_lock hold(mu);
          while (!is_over) {
            ++waiting;
            cond.wait(hold);
            ++mine;
          }
        });
      }
      for (int round = 0; round < rounds; ++round) {
        await_count(mu, waiting, n);
        const std::scoped_lock hold(mu);
        for (const int count : wakes) ASSERT_EQ(count, round);
        waiting = 0;
        is_over = round == rounds - 1;
        cond.notify_all();
      }
    }
    for (const int count : wakes) EXPECT_EQ(count, rounds);
  });
}

// TestRace: x goes from 0 to 1 to 2 to 3 through three hands.
TEST(GoCond, HandsOverAmongThree) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable cond;
    int x = 0;
    {
      support::crew others(where);
      others.start([&] {
        std::unique_lock hold(mu);
        cond.wait(hold, [&] { return x == 0; });
        x = 1;
        cond.wait(hold, [&] { return x == 2; });
        x = 3;
        cond.notify_all();
      });
      others.start([&] {
        std::unique_lock hold(mu);
        while (x != 1) {
          hold.unlock();
          turnkey::this_goroutine::yield();
          hold.lock();
        }
        x = 2;
        cond.notify_one();
      });
      others.start([&] {
        std::unique_lock hold(mu);
        for (;;) {
          if (x == 2) {
            cond.wait(hold, [&] { return x == 3; });
            break;
          }
          if (x == 3) break;
          hold.unlock();
          turnkey::this_goroutine::yield();
          hold.lock();
        }
      });
    }
    EXPECT_EQ(x, 3);
  });
}

// TestCondSignalStealing: one waits, another one comes while a broadcast is on its way. The first must wake up in any case.
TEST(GoCond, LetsNoNewcomerStealAWake) {
  support::run_everywhere([](const stage& where) {
    for (int round = 0; round < 60; ++round) {
      turnkey::mutex mu;
      turnkey::condition_variable cond;
      bool first_waits = false;
      bool is_true = false;
      support::watched first;
      support::crew others(where);
      others.start(first, [&] {
        std::unique_lock hold(mu);
        first_waits = true;
        cond.wait(hold);
      });
      support::await([&] {
        const std::scoped_lock hold(mu);
        return first_waits;
      });
      others.start([&] {
        const std::scoped_lock hold(mu);
        cond.notify_one();
      });
      others.start([&] {
        std::unique_lock hold(mu);
        cond.wait(hold, [&] { return is_true; });
      });
      support::await([&] { return first.has_left(); });  // for ever, if the newcomer took its wake
      const std::scoped_lock hold(mu);
      is_true = true;
      cond.notify_all();
    }
  });
}
