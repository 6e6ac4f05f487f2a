#include <turnkey/semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// Any form, any weight, too large ones included; tokens must neither vanish nor appear, and nobody be forgotten.
TEST(SemaphoreStress, ConservesItsTokens) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 7;
    constexpr int tokens = 4;
    turnkey::semaphore s(tokens);
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    std::atomic<int> out{0};
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 0; i < size; ++i) {
            const int k = 1 + luck.roll(tokens);
            bool is_mine = true;
            switch (luck.roll(6)) {
              case 0: is_mine = s.try_acquire(k); break;
              case 1: is_mine = s.try_acquire_for(luck.moment(), k); break;
              case 2: is_mine = s.acquire(switches.renew(me), k); break;
              case 3: EXPECT_FALSE(s.try_acquire_for(luck.moment(), tokens + 1)); continue;
              default: s.acquire(k);
            }
            if (!is_mine) continue;
            EXPECT_LE(out += k, tokens);
            luck.dawdle();
            out -= k;
            const int first = luck.roll(k + 1);
            s.release(first);
            s.release(k - first);
            luck.dawdle();
          }
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    EXPECT_TRUE(s.try_acquire(tokens));
    EXPECT_FALSE(s.try_acquire());
    s.release(tokens);
  });
}

// Two semaphores as ping and pong; each is destroyed by the one who got its last token.
TEST(SemaphoreStress, IsNotTouchedAfterTheLastWaiterHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    std::vector<std::unique_ptr<support::mortal<turnkey::semaphore>>> all;
    for (int i = 0; i < size; ++i) all.push_back(std::make_unique<support::mortal<turnkey::semaphore>>(3));
    for (auto& each : all) (*each)->acquire(3);
    support::crew others(where);
    others.start([&] {
      support::dice luck(seed);
      for (auto& each : all) {
        (*each)->release(3);
        luck.dawdle();
      }
    });
    others.start([&] {
      support::dice luck(seed + 1);
      for (auto& each : all) {
        if (luck.roll(2) == 0) {
          (*each)->acquire(3);
        } else {
          EXPECT_TRUE((*each)->try_acquire_for(std::chrono::hours(1), 3));
        }
        each->end();
      }
    });
  });
}
