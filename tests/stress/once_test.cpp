#include <turnkey/once.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

TEST(OnceStress, RunsEachFunctionOnceWhateverTheLimitsOfTheOthers) {
  support::stress().run(1024, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 6;
    struct thing {
      turnkey::once once;
      int runs = 0;
    };
    std::vector<thing> all(static_cast<std::size_t>(size));
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    std::atomic<int> throws{0};
    support::crew stopper(where);
    stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (std::size_t i = 0; i < all.size(); ++i) {
            auto& it = all[i];
            const auto f = [&] {
              luck.dawdle();
              ++it.runs;
              if (i % 8 == 0) throw std::runtime_error("this one fails");
            };
            for (bool has_run = false; !has_run;) {
              try {
                switch (luck.roll(4)) {
                  case 0: has_run = it.once.call_for(luck.moment(), f); break;
                  case 1: has_run = it.once.call(switches.renew(me), f); break;
                  default: it.once.call(f); has_run = true;
                }
              } catch (const std::runtime_error&) {
                ++throws;
                has_run = true;
              }
            }
            EXPECT_EQ(it.runs, 1);
          }
        });
      }
    }
    is_over = true;
    stopper.join();
    EXPECT_EQ(throws.load(), (size + 7) / 8);
  });
}
