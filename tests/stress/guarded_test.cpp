#include <turnkey/guarded.hpp>

#include <gtest/gtest.h>

#include <array>
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

// Tokens that go from one of three to another by with_all(), in any form and order, while the single ones are locked as well.
// None is lost, and whoever gives up leaves nothing locked.
TEST(GuardedStress, MovesTokensByWithAllInAnyForm) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 6;
    std::array<turnkey::guarded<int>, 3> places;
    turnkey::guarded<int, turnkey::rw_mutex> limit(7);
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 0; i < size; ++i) {
            const std::size_t k = luck.next() % 3;
            auto& from = places[k];
            auto& to = places[(k + 1 + luck.next() % 2) % 3];
            const auto& most = limit;
            bool is_called = false;
            const auto move = [&](int& a, const int& m, int& b) {
              is_called = true;
              luck.dawdle();
              if (b >= m) return;
              --a;
              ++b;
            };
            bool has_moved = true;
            switch (luck.roll(6)) {
              case 0: has_moved = with_all_for(luck.moment(), move, from, most, to); break;
              case 1:
                has_moved = with_all_until(std::chrono::steady_clock::now() + luck.moment(), move, from, most, to);
                break;
              case 2: has_moved = with_all(switches.renew(me), move, from, most, to); break;
              case 3: from.with([&](int&) { luck.dawdle(); }); continue;
              case 4: limit.with([&](int& m) { m = luck.roll(20); }); continue;
              default: with_all(move, from, most, to);
            }
            EXPECT_EQ(has_moved, is_called);
          }
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    int sum = 0;
    for (auto& each : places) {
      const auto p = each.try_lock();
      EXPECT_TRUE(p);
      sum += p ? *p : 0;
    }
    EXPECT_EQ(sum, 0);
    EXPECT_TRUE(limit.try_lock());
  });
}

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
