#include <turnkey/wait_group.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// One group for all rounds: workers count it down, waiters with and without limits wait for it, all in step.
TEST(WaitGroupStress, LetsEverybodyGoInEveryRound) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t workers = 3;
    constexpr std::size_t waiters = 4;
    turnkey::wait_group wg;
    support::start_line start(static_cast<int>(workers + waiters) + 1);
    support::start_line finish(static_cast<int>(workers + waiters) + 1);
    support::stop_switches<waiters> switches;
    std::atomic<bool> is_over{false};
    std::array<int, workers> data{};
    support::crew stopper(where);
    stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    {
      support::crew others(where);
      for (std::size_t me = 0; me < workers; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int round = 1; round <= size; ++round) {
            start.wait();
            luck.dawdle();
            data[me] = round;
            wg.done();
            finish.wait();
          }
        });
      }
      for (std::size_t me = 0; me < waiters; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int round = 1; round <= size; ++round) {
            start.wait();
            bool is_done = false;
            while (!is_done) {
              switch (luck.roll(3)) {
                case 0: is_done = wg.wait_for(luck.moment()); break;
                case 1: is_done = wg.wait(switches.renew(me)); break;
                default: wg.wait(); is_done = true;
              }
            }
            for (const int each : data) EXPECT_EQ(each, round);
            finish.wait();
          }
        });
      }
      for (int round = 1; round <= size; ++round) {
        wg.add(static_cast<int>(workers));
        start.wait();
        finish.wait();
      }
    }
    is_over = true;
  });
}

TEST(WaitGroupStress, CountsTasksThatStartTasks) {
  support::stress().run(12, [](const stage&, int size, std::uint64_t) {
    struct tree {
      turnkey::wait_group wg;
      std::atomic<int> leaves{0};
      void grow(int height) {
        if (height == 0) {
          ++leaves;
          return;
        }
        wg.go([this, height] { grow(height - 1); });
        wg.go([this, height] { grow(height - 1); });
      }
    } it;
    it.grow(size);
    it.wg.wait();
    EXPECT_EQ(it.leaves.load(), 1 << size);
  });
}

TEST(WaitGroupStress, IsNotTouchedAfterAWaiterHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    std::vector<std::unique_ptr<support::mortal<turnkey::wait_group>>> all;
    for (int i = 0; i < size; ++i) {
      all.push_back(std::make_unique<support::mortal<turnkey::wait_group>>());
      (*all.back())->add(2);
    }
    support::crew others(where);
    for (int i = 0; i < 2; ++i) {
      others.start([&, i] {
        support::dice luck(seed + static_cast<std::uint64_t>(i));
        for (auto& each : all) {
          (*each)->done();
          luck.dawdle();
        }
      });
    }
    others.start([&] {
      support::dice luck(seed + 2);
      for (auto& each : all) {
        if (luck.roll(2) == 0) {
          (*each)->wait();
        } else {
          while (!(*each)->wait_for(luck.moment())) {
          }
        }
        each->end();
      }
    });
  });
}
