#include <turnkey/timer.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include <turnkey/select.hpp>

#include "platform/futex.hpp"
#include "runtime/timer_queue.hpp"
#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;
using clock_type = std::chrono::steady_clock;

// Calls that are put off by next to nothing, and stopped by whoever is quicker: each runs or is prevented, one of the two.
TEST(TimerStress, RunsOrPreventsEachCall) {
  support::stress().run(2048, [](const stage& where, int size, std::uint64_t seed) {
    constexpr int actors = 4;
    std::atomic<long> started{0};
    std::atomic<long> prevented{0};
    std::atomic<long> ran{0};
    {
      support::crew others(where);
      for (int me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + static_cast<std::uint64_t>(me));
          std::array<turnkey::delayed_call, 16> calls;
          for (int i = 0; i < size; ++i) {
            turnkey::delayed_call& slot = calls[static_cast<std::size_t>(luck.roll(16))];
            if (luck.roll(2) == 0 && slot.stop()) ++prevented;
            ++started;
            slot = turnkey::run_after(luck.moment(), [&ran, mine = std::make_unique<int>(i)] { ++ran; });
            luck.dawdle();
          }
          for (turnkey::delayed_call& slot : calls) prevented += slot.stop() ? 1 : 0;
        });
      }
    }
    support::await([&] { return ran.load() + prevented.load() == started.load(); });
  });
}

// Timers that some reset and stop and others receive from, by every form: each start ends in one tick received or in one
// stop or reset that says that it prevented it.
TEST(TimerStress, ReceivesOrPreventsEachTick) {
  support::stress().run(1024, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t receivers = 4;
    constexpr int movers = 3;
    std::array<std::unique_ptr<turnkey::timer>, 3> timers;
    for (auto& each : timers) each = std::make_unique<turnkey::timer>(std::chrono::seconds(0));
    std::atomic<long> starts{static_cast<long>(timers.size())};
    std::atomic<long> ends{0};
    std::atomic<bool> is_over{false};
    std::atomic<bool> has_nobody_left{false};
    support::stop_switches<receivers> switches;
    support::crew receiving(where);
    for (std::size_t me = 0; me < receivers; ++me) {
      receiving.start([&, me] {
        support::dice luck(seed + me);
        while (!is_over) {
          const auto& channel = timers[static_cast<std::size_t>(luck.roll(3))]->channel();
          const auto& other = timers[static_cast<std::size_t>(luck.roll(3))]->channel();
          clock_type::time_point when;
          bool is_received = false;
          switch (luck.roll(5)) {
            case 0: is_received = channel.try_recv(when) == turnkey::chan_status::ok; break;
            case 1: is_received = channel.recv_for(when, luck.moment()) == turnkey::chan_status::ok; break;
            case 2: is_received = channel.recv(switches.renew(me)).has_value(); break;
            case 3:
              is_received = turnkey::select(turnkey::on_recv(channel, [] {}), turnkey::on_recv(other, [] {}),
                                            turnkey::otherwise([] {})) != 2;
              break;
            default:
              is_received = turnkey::select(turnkey::on_recv(channel, [] {}), turnkey::on_recv(other, [] {}),
                                            turnkey::on_timeout(luck.moment(), [] {})) != 2;
          }
          if (is_received) ++ends;
          turnkey::this_goroutine::yield();
        }
      });
    }
    support::crew stopper(where);
    stopper.start([&] { support::keep_stopping(switches, has_nobody_left, seed); });
    {
      support::crew moving(where);
      for (int me = 0; me < movers; ++me) {
        moving.start([&, me] {
          support::dice luck(seed - 1 - static_cast<std::uint64_t>(me));
          for (int i = 0; i < size; ++i) {
            turnkey::timer& timer = *timers[static_cast<std::size_t>(luck.roll(3))];
            if (luck.roll(3) == 0) {
              ends += timer.stop() ? 1 : 0;
            } else {
              ends += timer.reset(luck.moment()) ? 1 : 0;
              ++starts;
            }
            luck.dawdle();
          }
        });
      }
    }
    for (auto& each : timers) ends += each->stop() ? 1 : 0;
    is_over = true;
    receiving.join();
    has_nobody_left = true;
    stopper.join();
    EXPECT_EQ(ends.load(), starts.load());
    EXPECT_EQ(turnkey::runtime::timer_queue::earliest(), turnkey::platform::no_deadline);
  });
}

// Tickers that go while others wait for them, in every way; nothing may touch them afterwards, and nobody be forgotten.
TEST(TimerStress, LosesTickersAtAnyMoment) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    support::crew others(where);
    for (std::uint64_t me = 0; me < 3; ++me) {
      others.start([&, me] {
        support::dice luck(seed + me);
        for (int i = 0; i < size; ++i) {
          auto every = std::make_unique<turnkey::ticker>(std::chrono::nanoseconds(1 + luck.roll(20'000)));
          turnkey::wait_group gone;
          gone.go([channel = every->channel(), delay = luck.moment()] {
            clock_type::time_point when;
            clock_type::time_point last;
            while (channel.recv_for(when, delay) == turnkey::chan_status::ok && when < last + std::chrono::seconds(1)) {
              EXPECT_GT(when, last);
              last = when;
              if (delay > std::chrono::microseconds(100)) break;
            }
          });
          if (luck.roll(2) == 0) every->channel().recv();
          if (luck.roll(2) == 0) every->reset(std::chrono::nanoseconds(1 + luck.roll(5'000)));
          luck.dawdle();
          every.reset();
          gone.wait();
        }
      });
    }
  });
}

// Sleeps, limits, calls and ticks of all lengths at the same time: each comes, and none comes early.
TEST(TimerStress, IsNeverEarlyAndAlwaysComes) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    support::crew others(where);
    for (std::uint64_t me = 0; me < 5; ++me) {
      others.start([&, me] {
        support::dice luck(seed + me);
        for (int i = 0; i < size; ++i) {
          const auto period = luck.moment();
          const auto start = clock_type::now();
          switch (luck.roll(3)) {
            case 0: turnkey::this_goroutine::sleep_for(period); break;
            case 1: turnkey::after(period).recv(); break;
            default: {
              turnkey::wait_group ran;
              ran.add();
              turnkey::run_after(period, [&] { ran.done(); });
              ran.wait();
            }
          }
          EXPECT_GE(clock_type::now() - start, period);
        }
      });
    }
  });
}
