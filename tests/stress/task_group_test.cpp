#include <turnkey/task_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

// Groups with and without a limit, whose tasks add tasks, throw, and look at the stop.
TEST(TaskGroupStress, EndsAllItsTasksWhicheverFail) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    support::dice luck(seed);
    const int limit = luck.roll(4);
    const int failing = luck.roll(size + 3);  // may be none of them
    std::atomic<int> alive{0};
    std::atomic<int> ended{0};
    {
      turnkey::task_group tasks(static_cast<std::size_t>(limit));
      support::crew others(where);
      for (int starter = 0; starter < 2; ++starter) {
        others.start([&, starter] {
          for (int i = starter; i < size; i += 2) {
            tasks.go([&, i] {
              const int now = ++alive;
              if (limit != 0) {
                EXPECT_LE(now, limit);
              }
              turnkey::this_goroutine::yield();
              --alive;
              ++ended;
              if (i == failing || tasks.stop_token().stop_requested()) throw i;
            });
          }
        });
      }
      others.join();
      int thrown = -1;
      try {
        tasks.wait();
      } catch (int which) {
        thrown = which;
      }
      EXPECT_EQ(ended.load(), size);
      EXPECT_EQ(thrown, failing < size ? failing : -1);
    }
    EXPECT_EQ(alive.load(), 0);
  });
}
