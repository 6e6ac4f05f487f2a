#include <turnkey/mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// Every form against every other, with stops and timeouts that meet the hand-over. A wakeup that is lost shows as a hang.
TEST(MutexStress, NeitherLosesAWakeupNorAdmitsTwo) {
  support::stress().run(1024, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 7;
    turnkey::mutex mu;
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    std::atomic<long> successes{0};
    long taken = 0;
    bool is_held = false;
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          long mine = 0;
          for (int i = 0; i < size; ++i) {
            if (support::take(mu, luck, switches, me) == support::outcome::refused) continue;
            EXPECT_FALSE(is_held);
            is_held = true;
            luck.dawdle();
            if (luck.roll(100) == 0) turnkey::this_goroutine::sleep_for(luck.moment());
            ++taken;
            is_held = false;
            mu.unlock();
            ++mine;
            luck.dawdle();
          }
          successes += mine;
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    EXPECT_EQ(taken, successes.load());
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

// No stops, no limits: nothing but the queue and the hand-over, with sections so short that barging is the rule.
TEST(MutexStress, CountsExactlyUnderPlainLocks) {
  support::stress().run(8192, [](const stage& where, int size, std::uint64_t) {
    constexpr int actors = 6;
    turnkey::mutex mu;
    long sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < actors; ++i) {
        others.start([&] {
          for (int k = 0; k < size; ++k) {
            mu.lock();
            ++sum;
            mu.unlock();
          }
        });
      }
    }
    EXPECT_EQ(sum, static_cast<long>(actors) * size);
  });
}

// Most of the time not under the lock, so that there is room for all: who finds it held looks for that, and a turn ends by giving
// way. What somebody may not do is stay in the queue while the others go on.
TEST(MutexStress, LeavesRoomToAllWhoWorkOutsideItMostly) {
  support::stress().run(2048, [](const stage& where, int size, std::uint64_t seed) {
    constexpr int actors = 6;
    const auto work = [](int rounds) {
      for (int i = 0; i < rounds; ++i) asm volatile("");
    };
    turnkey::mutex mu;
    long sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < actors; ++i) {
        others.start([&, i] {
          support::dice luck(seed + static_cast<std::uint64_t>(i));
          for (int k = 0; k < size; ++k) {
            {
              const std::scoped_lock hold(mu);
              work(luck.roll(400));
              ++sum;
            }
            work(1500);
          }
        });
      }
    }
    EXPECT_EQ(sum, static_cast<long>(actors) * size);
  });
}

// Many more goroutines than procs, each with one lock: they all park.
TEST(MutexStress, ServesThousandsOfGoroutines) {
  support::stress().run(4096, [](const stage&, int size, std::uint64_t) {
    turnkey::mutex mu;
    turnkey::wait_group wg;
    int sum = 0;
    for (int i = 0; i < size; ++i) {
      wg.go([&] {
        const std::scoped_lock hold(mu);
        if (++sum % 64 == 0) turnkey::this_goroutine::yield();
      });
    }
    wg.wait();
    EXPECT_EQ(sum, size);
  });
}

// Transfers between accounts that have a mutex each, taken together in any order.
TEST(MutexStress, KeepsTheBalanceOfManyAccounts) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    struct account {
      turnkey::mutex mu;
      int balance = 100;
    };
    std::array<account, 5> accounts;
    {
      support::crew others(where);
      for (int i = 0; i < 6; ++i) {
        others.start([&, i] {
          support::dice luck(seed + static_cast<std::uint64_t>(i));
          for (int k = 0; k < size; ++k) {
            auto& from = accounts[static_cast<std::size_t>(luck.roll(5))];
            auto& to = accounts[static_cast<std::size_t>(luck.roll(5))];
            if (&from == &to) continue;
            const std::scoped_lock hold(from.mu, to.mu);
            from.balance -= 1;
            luck.dawdle();
            to.balance += 1;
          }
        });
      }
    }
    int sum = 0;
    for (const auto& each : accounts) sum += each.balance;
    EXPECT_EQ(sum, 500);
  });
}

// A chain of mutexes that are passed on and destroyed by whoever holds them next.
TEST(MutexStress, IsNotTouchedAfterItsNextOwnerHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    std::vector<std::unique_ptr<support::mortal<turnkey::mutex>>> all;
    for (int i = 0; i < size; ++i) all.push_back(std::make_unique<support::mortal<turnkey::mutex>>());
    for (auto& each : all) (*each)->lock();
    {
      support::crew others(where);
      others.start([&] {
        support::dice luck(seed);
        for (auto& each : all) {
          (*each)->unlock();
          luck.dawdle();
        }
      });
      others.start([&] {
        support::dice luck(seed + 1);
        const std::stop_source source;
        for (auto& each : all) {
          switch (luck.roll(4)) {
            case 0: EXPECT_TRUE((*each)->try_lock_for(std::chrono::hours(1))); break;
            case 1: EXPECT_TRUE((*each)->lock(source.get_token())); break;
            case 2:
              while (!(*each)->try_lock()) turnkey::this_goroutine::yield();
              break;
            default: (*each)->lock();
          }
          (*each)->unlock();
          each->end();
        }
      });
    }
  });
}
