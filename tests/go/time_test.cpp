// Go's tests of package time that are about sleeping, timers and tickers. Where Go measures how late something came, which
// a loaded machine decides, these check that it was not early, and that it came.
#include <turnkey/timer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <turnkey/mutex.hpp>
#include <turnkey/select.hpp>

#include "platform/futex.hpp"
#include "runtime/timer_queue.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::after;
using turnkey::run_after;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;

namespace {

bool has_tick(const turnkey::receiver<time_point>& channel) {
  time_point when;
  return channel.try_recv(when) == turnkey::chan_status::ok;
}

bool is_timer_queue_empty() { return turnkey::runtime::timer_queue::earliest() == turnkey::platform::no_deadline; }

}  // namespace

// TestSleep: for no less than was asked.
TEST(GoTime, SleepsForAtLeastThePeriod) {
  support::run_everywhere([](const stage&) {
    for (const auto period : {-1ns, 0ns, 100'000ns, 3'000'000ns}) {
      const auto start = clock_type::now();
      turnkey::this_goroutine::sleep_for(period);
      EXPECT_GE(clock_type::now() - start, period);
    }
  });
}

// TestAfterFunc: a chain of calls that each put off the next one, by nothing.
TEST(GoTime, RunsAChainOfCallsThatArePutOff) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group ended;
    ended.add();
    int left = 10;
    std::function<void()> next = [&] {
      if (--left >= 0) {
        run_after(0s, next);
        turnkey::this_goroutine::sleep_for(10us);
      } else {
        ended.done();
      }
    };
    run_after(0s, next);
    ended.wait();
  });
}

// TestAfterFuncStarvation: with one proc, two goroutines that wake each other all the time; a call must get its turn.
TEST(GoTime, RunsACallAlthoughAPairKeepsTheOnlyProc) {
  support::with_procs(1, [] {
    std::atomic<bool> is_over{false};
    const auto ping = turnkey::make_chan<int>();
    const auto pong = turnkey::make_chan<int>();
    turnkey::wait_group pair;
    pair.go([&] {
      while (!is_over) {
        ping.send(1);
        pong.recv();
      }
      ping.close();
    });
    pair.go([&] {
      while (ping.recv()) pong.send(1);
    });
    run_after(1ms, [&] { is_over = true; });
    pair.wait();
  });
}

// TestAfter: no earlier than asked, and what it says is when it was due.
TEST(GoTime, TicksAfterThePeriod) {
  support::run_everywhere([](const stage&) {
    const auto start = clock_type::now();
    const auto due = after(2ms).recv();
    EXPECT_GE(clock_type::now() - start, 2ms);
    EXPECT_GE(*due - start, 2ms);
  });
}

// TestAfterTick, TestTicker: n ticks take n periods, and another n after a reset n of the other.
TEST(GoTime, TicksEveryPeriodAndEveryOtherOneAfterAReset) {
  support::run_everywhere([](const stage&) {
    constexpr int ticks = 5;
    const auto start = clock_type::now();
    turnkey::ticker every(500us);
    for (int i = 0; i < ticks; ++i) every.channel().recv();
    EXPECT_GE(clock_type::now() - start, ticks * 500us);
    const auto again = clock_type::now();
    every.reset(1ms);
    for (int i = 0; i < ticks; ++i) every.channel().recv();
    EXPECT_GE(clock_type::now() - again, ticks * 1ms);
    every.stop();
    turnkey::this_goroutine::sleep_for(3ms);
    EXPECT_FALSE(has_tick(every.channel()));
  });
}

// TestTeardown: short-lived tickers.
TEST(GoTime, MakesAndStopsTickersQuickly) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 30; ++i) {
      turnkey::ticker every(20us);
      every.channel().recv();
      every.stop();
    }
  });
}

// TestNewTickerLtZeroDuration, TestTickerResetLtZeroDuration.
TEST(GoTime, RefusesTickersWithoutAPeriod) {
  EXPECT_THROW(turnkey::ticker(-1s), std::logic_error);
  EXPECT_THROW(turnkey::ticker(0s), std::logic_error);
  turnkey::ticker every(1h);
  EXPECT_THROW(every.reset(-1s), std::logic_error);
  EXPECT_THROW(every.reset(0s), std::logic_error);
}

// TestAfterStop: a stopped call does not run; stopping it again says that it was stopped already.
TEST(GoTime, DoesNotRunACallThatWasStopped) {
  support::run_everywhere([](const stage&) {
    std::atomic<int> calls{0};
    run_after(1ms, [&] { ++calls; });
    auto stopped = run_after(2ms, [&] { calls += 100; });
    turnkey::timer timer(2ms);
    const bool call_was_stopped = stopped.stop();
    const bool timer_was_stopped = timer.stop();
    EXPECT_TRUE(timer_was_stopped);
    EXPECT_FALSE(timer.stop());
    EXPECT_FALSE(stopped.stop());
    turnkey::this_goroutine::sleep_for(5ms);
    EXPECT_FALSE(has_tick(timer.channel()));
    support::await([&] { return calls.load() % 100 == 1; });
    EXPECT_EQ(calls.load() == 1, call_was_stopped);
  });
}

// TestAfterQueuing: those who wait are woken in the order of their times. On a machine that stalls they may all be due at
// one look, so it is tried again with longer times.
TEST(GoTime, WakesInTheOrderOfTheTimes) {
  constexpr std::array slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
  for (auto step = 1ms;; step *= 2) {
    std::mutex mu;
    std::vector<int> woken;
    {
      turnkey::wait_group all;
      for (const int slot : slots) {
        all.go([&, slot] {
          const auto start = clock_type::now();
          const auto due = after(slot * step).recv();
          EXPECT_GE(*due, start + slot * step);
          const std::scoped_lock hold(mu);
          woken.push_back(slot);
        });
      }
      all.wait();
    }
    ASSERT_EQ(woken.size(), slots.size());
    if (std::ranges::is_sorted(woken)) break;
  }
}

// TestTimerStopStress: calls that are stopped before their time never run.
TEST(GoTime, StopsAHundredCallsInTime) {
  support::run_everywhere([](const stage& where) {
    support::crew others(where);
    for (int i = 0; i < 100; ++i) {
      others.start([] {
        auto call = run_after(1h, [] { ADD_FAILURE() << "it was stopped"; });
        turnkey::this_goroutine::sleep_for(100us);
        EXPECT_TRUE(call.stop());
      });
    }
  });
}

// TestSleepZeroDeadlock: many sleeps of nothing at all.
TEST(GoTime, SleepsForNothingWithoutEnd) {
  support::with_procs(4, [] {
    turnkey::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([] {
        for (int k = 0; k < 100; ++k) {
          turnkey::ticker every(1ns);
          turnkey::this_goroutine::sleep_for(0s);
          every.channel().recv();
        }
      });
    }
    all.wait();
  });
}

// TestReset: a reset of a pending timer says true and moves it; of one that has ticked false, and starts it again.
TEST(GoTime, ResetsATimerThatIsPendingAndOneThatIsNot) {
  support::run_everywhere([](const stage&) {
    turnkey::timer timer(1h);
    turnkey::this_goroutine::sleep_for(50us);
    const auto again = clock_type::now();
    EXPECT_TRUE(timer.reset(500us));
    EXPECT_GE(*timer.channel().recv() - again, 500us);
    EXPECT_FALSE(timer.reset(50us));
    EXPECT_TRUE(timer.channel().recv().has_value());
  });
}

// TestOverflowSleep, TestOverflowPeriodRuntimeTimer: the longest time there is does not wrap around, nor does the shortest.
TEST(GoTime, DoesNotWrapTimesThatAreTooLong) {
  support::run_everywhere([](const stage&) {
    using std::chrono::nanoseconds;
    const std::size_t chosen = turnkey::select(
        turnkey::on_recv(after(nanoseconds::max()), [] { ADD_FAILURE() << "the longest time is over"; }),
        turnkey::on_recv(after(500us), [] {}));
    EXPECT_EQ(chosen, 1U);
    EXPECT_TRUE(after(nanoseconds::min()).recv().has_value());
    const turnkey::ticker every(nanoseconds::max());
    EXPECT_FALSE(has_tick(every.channel()));
  });
}

// TestTimerModifiedEarlier: one that was to come late is moved to soon, again and again, and comes soon.
TEST(GoTime, ComesSoonIfItIsMovedToSoon) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 10; ++i) {
      turnkey::timer timer(std::chrono::hours(24 * 365));
      turnkey::this_goroutine::sleep_for(20us);
      timer.reset(20us);
      const turnkey::timer deadline(1h);
      EXPECT_EQ(turnkey::select(turnkey::on_recv(timer.channel(), [] {}), turnkey::on_recv(deadline.channel(), [] {})),
                0U);
    }
  });
}

// TestAdjustTimers: many who reset, stop and receive timers that others push about meanwhile.
TEST(GoTime, SurvivesManyTimersThatAreMovedAbout) {
  support::run_everywhere([](const stage& where) {
    std::vector<std::unique_ptr<turnkey::timer>> timers;
    for (int i = 0; i < 40; ++i) timers.push_back(std::make_unique<turnkey::timer>(1h));
    support::crew others(where);
    for (std::size_t who = 0; who < 4; ++who) {
      others.start([&, who] {
        support::dice luck(who);
        for (int k = 0; k < 100; ++k) {
          for (std::size_t i = who; i < timers.size(); i += 4) {
            turnkey::timer& timer = *timers[i];
            switch (luck.roll(4)) {
              case 0:
                timer.reset(0s);
                timer.channel().recv();
                break;
              case 1: timer.reset(std::chrono::microseconds(luck.roll(50))); break;
              case 2: timer.reset(1h); break;
              default: timer.stop(); EXPECT_FALSE(has_tick(timer.channel()));
            }
          }
        }
      });
    }
  });
}

// TestStopResult, TestResetResult: of two timers that are due at the same time one is received. Stopping or resetting the
// other says false only if that one was it.
TEST(GoTime, SaysOfStopAndResetWhetherATickWasReceived) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 100; ++i) {
      turnkey::timer first(100us);
      turnkey::timer second(100us);
      const std::size_t chosen =
          turnkey::select(turnkey::on_recv(first.channel(), [] {}), turnkey::on_recv(second.channel(), [] {}));
      const bool was_prevented = i % 2 == 0 ? second.stop() : second.reset(1h);
      EXPECT_EQ(was_prevented, chosen == 0);
      EXPECT_FALSE(has_tick(second.channel()));
    }
  });
}

// TestAfterTimes: a tick that is read late tells when it was due.
TEST(GoTime, TellsTheDueTimeHoweverLateItIsRead) {
  const auto before = clock_type::now();
  const auto channel = after(1ms);
  const turnkey::ticker every(1ms);
  const auto made = clock_type::now();
  turnkey::this_goroutine::sleep_for(5ms);
  for (const auto due : {*channel.recv(), *every.channel().recv()}) {
    EXPECT_GE(due, before + 1ms);
    EXPECT_LE(due, made + 1ms);
  }
}

// TestTimerGC, TestChan: one that nobody can receive from leaves nothing.
TEST(GoTime, ForgetsTimersThatNobodyHas) {
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(after(1h));
    static_cast<void>(turnkey::timer(1h));
    static_cast<void>(turnkey::ticker(1h));
  }
  EXPECT_TRUE(is_timer_queue_empty());
}

// TestZeroTimer, TestLongAdjustTimers in small: a timer of nothing is received at once, by many at the same time.
TEST(GoTime, TicksAtOnceForNothing) {
  support::run_everywhere([](const stage& where) {
    support::crew others(where);
    for (int i = 0; i < 3; ++i) {
      others.start([] {
        turnkey::timer timer(0s);
        for (int k = 0; k < 200; ++k) {
          timer.channel().recv();
          EXPECT_FALSE(timer.reset(0s));
        }
      });
    }
  });
}

// TestMultiWakeupTicker: each tick wakes one receiver, once.
TEST(GoTime, WakesATickersReceiverOncePerTick) {
  support::with_procs(4, [] {
    turnkey::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([] {
        const turnkey::ticker every(30us);
        time_point last;
        for (int k = 0; k < 50; ++k) {
          const auto due = every.channel().recv();
          EXPECT_GT(*due, last);
          last = *due;
        }
      });
    }
    all.wait();
  });
}

// TestTimerFairness (runtime): goroutines that are always ready do not keep a timer from being received.
TEST(GoTime, ReceivesATickBesideThoseWhoAreAlwaysReady) {
  for (const int procs : {1, 2}) {
    support::with_procs(procs, [] {
      const auto channel = turnkey::make_chan<int>();
      const auto is_over = turnkey::make_chan<int>();
      turnkey::wait_group hogs;
      for (int i = 0; i < 2; ++i) {
        hogs.go([&] {
          bool goes_on = true;
          while (goes_on) {
            turnkey::select(turnkey::on_send(channel, 1, [] {}), turnkey::on_recv(is_over, [&] { goes_on = false; }));
          }
        });
      }
      hogs.go([&] {
        const auto timer = after(2ms);
        for (bool goes_on = true; goes_on;) {
          turnkey::select(turnkey::on_recv(channel, [] {}), turnkey::on_recv(timer, [&] { goes_on = false; }));
        }
        is_over.close();
      });
      hogs.wait();
    });
  }
}

// TestTimerChan, TestTickerChan: whatever was due before a stop or a reset cannot be received after it, with none, one and
// two receivers that wait; and the channel always looks unbuffered.
namespace {

// What a timer and a ticker have in common here.
template <class Timer>
void expect_no_stale_ticks(const stage& where) {
  Timer timer(1h);
  const auto& channel = timer.channel();
  const auto expect_nothing = [&] {
    EXPECT_FALSE(has_tick(channel));
    EXPECT_EQ(channel.size(), 0U);
    EXPECT_EQ(channel.capacity(), 0U);
  };
  expect_nothing();
  timer.stop();
  expect_nothing();
  timer.reset(10us);
  turnkey::this_goroutine::sleep_for(50us);
  EXPECT_EQ(channel.size(), 0U);
  timer.reset(1h);
  expect_nothing();
  timer.reset(10us);
  turnkey::this_goroutine::sleep_for(50us);
  timer.stop();
  expect_nothing();

  // With one that waits: it gets what comes after a reset, and nothing else is there.
  for (int waiting = 1; waiting <= 2; ++waiting) {
    timer.reset(1h);
    std::array<support::watched, 2> who;
    const auto give_up = turnkey::make_chan<int>();
    std::atomic<int> ticks{0};
    support::crew others(where);
    for (int i = 0; i < waiting; ++i) {
      support::watched& each = who[static_cast<std::size_t>(i)];
      others.start(each, [&] {
        turnkey::select(turnkey::on_recv(channel, [&] { ++ticks; }), turnkey::on_recv(give_up, [] {}));
      });
      EXPECT_TRUE(each.comes_to_wait());
    }
    expect_nothing();
    timer.stop();
    EXPECT_TRUE(is_timer_queue_empty());
    timer.reset(1h);
    EXPECT_FALSE(is_timer_queue_empty());
    timer.reset(20us);
    support::await([&] { return who[0].has_left(); });
    EXPECT_GE(ticks.load(), 1);
    timer.stop();
    expect_nothing();
    give_up.close();
    others.join();
    EXPECT_GE(ticks.load(), 1);
    EXPECT_LE(ticks.load(), waiting);
    expect_nothing();
    EXPECT_TRUE(is_timer_queue_empty());
  }
}

}  // namespace

TEST(GoTime, HasNoStaleTickInATimersChannel) { support::run_everywhere(expect_no_stale_ticks<turnkey::timer>); }
TEST(GoTime, HasNoStaleTickInATickersChannel) { support::run_everywhere(expect_no_stale_ticks<turnkey::ticker>); }
