#include <turnkey/condition_variable.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include <turnkey/mutex.hpp>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// A small queue between producers and consumers, one notify for each change. Waits end by notifies, times and stops; a
// notify that gets lost, or goes to one who has just left, shows as a hang.
TEST(ConditionVariableStress, LosesNoNotifyAmongTimeoutsAndStops) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t pairs = 3;
    constexpr std::size_t capacity = 2;
    turnkey::mutex mu;
    turnkey::condition_variable not_empty;
    turnkey::condition_variable not_full;
    std::deque<int> queue;
    support::stop_switches<2 * pairs> switches;
    std::atomic<bool> is_over{false};
    long sent = 0;
    long received = 0;

    const auto wait = [&](auto& hold, auto& cv, support::dice& luck, std::size_t me, auto pred) {
      switch (luck.roll(5)) {
        case 0: return cv.wait_for(hold, luck.moment(), pred);
        case 1: return cv.wait(hold, switches.renew(me), pred);
        case 2: return cv.wait_for(hold, switches.renew(me), luck.moment(), pred);
        case 3:
          if (pred()) return true;
          static_cast<void>(cv.wait_for(hold, luck.moment()));
          return pred();
        default: cv.wait(hold, pred); return true;
      }
    };
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < pairs; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 1; i <= size;) {
            std::unique_lock hold(mu);
            if (!wait(hold, not_full, luck, me, [&] { return queue.size() < capacity; })) continue;
            queue.push_back(i);
            sent += i++;
            hold.unlock();
            not_empty.notify_one();
            luck.dawdle();
          }
        });
        others.start([&, me = me + pairs] {
          support::dice luck(seed + me);
          for (int i = 1; i <= size;) {
            std::unique_lock hold(mu);
            if (!wait(hold, not_empty, luck, me, [&] { return !queue.empty(); })) continue;
            received += queue.front();
            queue.pop_front();
            ++i;
            not_full.notify_one();
            hold.unlock();
            luck.dawdle();
          }
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    EXPECT_EQ(sent, received);
    EXPECT_TRUE(queue.empty());
  });
}

// Everyone waits for the next round; the last one to come opens it for all.
TEST(ConditionVariableStress, OpensABarrierForAllAtOnce) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t) {
    constexpr int actors = 6;
    turnkey::mutex mu;
    turnkey::condition_variable opened;
    int round = 0;
    int arrived = 0;
    {
      support::crew others(where);
      for (int i = 0; i < actors; ++i) {
        others.start([&] {
          for (int k = 0; k < size; ++k) {
            std::unique_lock hold(mu);
            EXPECT_EQ(round, k);
            if (++arrived == actors) {
              arrived = 0;
              ++round;
              opened.notify_all();
            } else {
              opened.wait(hold, [&] { return round > k; });
            }
          }
        });
      }
    }
    EXPECT_EQ(round, size);
  });
}

TEST(ConditionVariableStress, IsNotTouchedAfterTheLastWaiterHasDestroyedIt) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    struct room {
      turnkey::mutex mu;
      bool has_come = false;
      support::mortal<turnkey::condition_variable> opened;
    };
    std::vector<room> all(static_cast<std::size_t>(size));
    support::crew others(where);
    others.start([&] {
      support::dice luck(seed);
      for (auto& each : all) {
        support::await([&] {
          const std::scoped_lock hold(each.mu);
          return each.has_come;  // and waits, for the lock is free
        });
        luck.roll(2) == 0 ? each.opened->notify_one() : each.opened->notify_all();
        luck.dawdle();
      }
    });
    others.start([&] {
      support::dice luck(seed + 1);
      for (auto& each : all) {
        {
          std::unique_lock hold(each.mu);
          each.has_come = true;
          if (luck.roll(2) == 0) {
            each.opened->wait(hold);
          } else {
            EXPECT_EQ(each.opened->wait_for(hold, std::chrono::hours(1)), std::cv_status::no_timeout);
          }
        }
        each.opened.end();
      }
    });
  });
}
