#include <turnkey/counter.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

using support::stage;

// Counters come and go, threads come and go; each counter ends with the sum of what was added to it.
TEST(CounterStress, IsExactWhileCountersAndThreadsComeAndGo) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t kinds = 5;
    std::array<std::unique_ptr<turnkey::counter>, kinds> counters;
    for (auto& each : counters) each = std::make_unique<turnkey::counter>();
    std::array<std::atomic<std::int64_t>, kinds> sums{};
    {
      support::crew others(where);
      for (std::uint64_t me = 0; me < 6; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          const auto add = [&] {
            const auto which = static_cast<std::size_t>(luck.roll(kinds));
            const std::int64_t n = luck.roll(1000) - 300;
            counters[which]->add(n);
            sums[which].fetch_add(n, std::memory_order_relaxed);
          };
          for (int i = 0; i < size; ++i) {
            add();
            turnkey::counter own;
            own.add(i);
            luck.dawdle();
            own.add(1);
            EXPECT_EQ(own.load(), i + 1);
            static_cast<void>(counters[0]->load());
            if (luck.roll(32) == 0) turnkey::blocking([&] { std::jthread(add).join(); });
          }
        });
      }
    }
    for (std::size_t i = 0; i < kinds; ++i) EXPECT_EQ(counters[i]->load(), sums[i].load());
  });
}
