#include <turnkey/rw_mutex.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "eager_spreading.hpp"
#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// Readers and writers, every form, with stops and timeouts; the share of writers changes from round to round.
TEST(RwMutexStress, NeitherLosesAWakeupNorMixesReadersAndWriters) {
  support::stress().run(1024, [](const stage& where, int size, std::uint64_t seed) {
    const support::eager_spreading often(seed % 2 == 0 ? 1 : 64);
    constexpr std::size_t actors = 7;
    turnkey::rw_mutex mu;
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    std::atomic<long> successes{0};
    const int writes_in_a_hundred = static_cast<int>(seed % 3 == 0 ? 1 : seed % 3 == 1 ? 20 : 60);
    long written = 0;
    int halves = 0;
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          turnkey::reader view(mu);
          long mine = 0;
          for (int i = 0; i < size; ++i) {
            if (luck.roll(100) < writes_in_a_hundred) {
              if (support::take(mu, luck, switches, me) == support::outcome::refused) continue;
              EXPECT_EQ(++halves % 2, 1);
              luck.dawdle();
              EXPECT_EQ(++halves % 2, 0);
              ++written;
              mu.unlock();
              ++mine;
            } else {
              if (support::take(view, luck, switches, me) == support::outcome::refused) continue;
              EXPECT_EQ(halves % 2, 0);
              luck.dawdle();
              EXPECT_EQ(halves % 2, 0);
              view.unlock();
            }
            luck.dawdle();
          }
          successes += mine;
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    EXPECT_EQ(written, successes.load());
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

TEST(RwMutexStress, CountsExactlyUnderPlainLocks) {
  support::stress().run(4096, [](const stage& where, int size, std::uint64_t seed) {
    const support::eager_spreading often(seed % 2 == 0 ? 1 : 64);
    constexpr int actors = 6;
    turnkey::rw_mutex mu;
    const int reads_between = static_cast<int>(seed % 100);
    long sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < actors; ++i) {
        others.start([&] {
          for (int k = 0; k < size; ++k) {
            if (k % (reads_between + 1) == reads_between) {
              mu.lock();
              ++sum;
              mu.unlock();
            } else {
              mu.lock_shared();
              EXPECT_GE(sum, 0);
              mu.unlock_shared();
            }
          }
        });
      }
    }
    EXPECT_EQ(sum, static_cast<long>(actors) * (size / (reads_between + 1)));
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

// Held read locks wander: taken by one, given back by another.
TEST(RwMutexStress, CountsReadersThatLeaveElsewhere) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    const support::eager_spreading often(seed % 2 == 0 ? 1 : 64);
    constexpr int actors = 5;
    turnkey::rw_mutex mu;
    std::atomic<int> held{0};
    int data = 0;
    {
      support::crew others(where);
      for (int i = 0; i < actors; ++i) {
        others.start([&, i] {
          support::dice luck(seed + static_cast<std::uint64_t>(i));
          for (int k = 0; k < size; ++k) {
            if (luck.roll(10) == 0) {
              if (!mu.try_lock()) continue;
              EXPECT_LE(held.load(), 0);
              ++data;
              mu.unlock();
            } else if (luck.roll(2) == 0) {
              if (mu.try_lock_shared()) ++held;  // and leaves it to anybody
            } else {
              int there = held.load();
              while (there > 0 && !held.compare_exchange_weak(there, there - 1)) {
              }
              if (there > 0) mu.unlock_shared();
            }
            luck.dawdle();
          }
        });
      }
    }
    EXPECT_EQ(mu.try_lock(), held == 0);
    if (held == 0) {
      mu.unlock();
    } else {
      for (; held > 0; --held) mu.unlock_shared();
    }
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

TEST(RwMutexStress, IsNotTouchedAfterItsNextOwnerHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    const support::eager_spreading often(seed % 2 == 0 ? 1 : 64);
    std::vector<std::unique_ptr<support::mortal<turnkey::rw_mutex>>> all;
    for (int i = 0; i < size; ++i) all.push_back(std::make_unique<support::mortal<turnkey::rw_mutex>>());
    support::dice coin(seed);
    std::vector<bool> is_read(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      is_read[i] = coin.roll(2) == 0;
      is_read[i] ? (*all[i])->lock_shared() : (*all[i])->lock();
    }
    support::crew others(where);
    others.start([&] {
      support::dice luck(seed);
      for (std::size_t i = 0; i < all.size(); ++i) {
        is_read[i] ? (*all[i])->unlock_shared() : (*all[i])->unlock();
        luck.dawdle();
      }
    });
    others.start([&] {
      support::dice luck(seed + 1);
      for (std::size_t i = 0; i < all.size(); ++i) {
        auto& mu = **all[i];
        if (!is_read[i] && luck.roll(2) == 0) {
          mu.lock_shared();
          mu.unlock_shared();
        } else {
          if (luck.roll(2) == 0) {
            mu.lock();
          } else {
            EXPECT_TRUE(mu.try_lock_for(std::chrono::hours(1)));
          }
          mu.unlock();
        }
        all[i]->end();
      }
    });
    others.join();
  });
}
