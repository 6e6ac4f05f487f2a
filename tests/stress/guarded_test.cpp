#include <turnkey/guarded.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <vector>

#include <turnkey/rw_mutex.hpp>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// Tokens that are waited for by any form. Whoever gives up leaves nothing behind; whoever waits in earnest gets one.
template <class Mutex>
void conserve_tokens() {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 7;
    constexpr int tokens = 3;
    turnkey::guarded<int, Mutex> there(tokens);
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
            const auto are_there = [k](int n) { return n >= k; };
            const auto take = [&](auto scope) {
              if (scope) *scope -= k;
              return static_cast<bool>(scope);
            };
            bool is_mine = false;
            switch (luck.roll(6)) {
              case 0: is_mine = take(there.wait_for(luck.moment(), are_there)); break;
              case 1:
                is_mine = take(there.wait_until(std::chrono::steady_clock::now() + luck.moment(), are_there));
                break;
              case 2: is_mine = take(there.wait(switches.renew(me), are_there)); break;
              case 3: EXPECT_GE(there.load(), 0); continue;
              default: is_mine = take(there.wait(are_there));
            }
            if (!is_mine) continue;
            EXPECT_LE(out += k, tokens);
            luck.dawdle();
            out -= k;
            there.with([&](int& n) { n += k; });
            luck.dawdle();
          }
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    EXPECT_EQ(there.load(), tokens);
  });
}

TEST(GuardedStress, LosesNoOneWhoWaits) { conserve_tokens<turnkey::mutex>(); }
TEST(GuardedStress, LosesNoOneWhoWaitsOnAnRwMutex) { conserve_tokens<turnkey::rw_mutex>(); }

// As conditions are looked at by others, from their stacks and after their time: each guarded is destroyed by the one whose
// condition came true last.
TEST(GuardedStress, IsNotTouchedAfterTheLastWaiterHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    std::vector<std::unique_ptr<support::mortal<turnkey::guarded<int>>>> all;
    for (int i = 0; i < size; ++i) all.push_back(std::make_unique<support::mortal<turnkey::guarded<int>>>(0));
    support::crew others(where);
    others.start([&] {
      support::dice luck(seed);
      for (auto& each : all) {
        auto p = (*each)->lock();
        *p = 1;
        luck.dawdle();
        p.unlock();
      }
    });
    others.start([&] {
      support::dice luck(seed + 1);
      const auto is_set = [](int n) { return n == 1; };
      for (auto& each : all) {
        if (luck.roll(2) == 0) {
          static_cast<void>((*each)->wait(is_set));
        } else {
          EXPECT_TRUE((*each)->wait_for(std::chrono::hours(1), is_set));
        }
        each->end();
      }
    });
  });
}
