#include <turnkey/timer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>

#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "runtime/timer_queue.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::delayed_call;
using turnkey::run_after;
using clock_type = std::chrono::steady_clock;

static_assert(support::stays_where_it_is<turnkey::timer> && support::stays_where_it_is<turnkey::ticker>);
static_assert(!std::is_constructible_v<turnkey::ticker, std::int64_t>);
static_assert(std::is_same_v<decltype(turnkey::after(1s)), turnkey::receiver<clock_type::time_point>>);
static_assert(std::is_nothrow_move_constructible_v<delayed_call> && std::is_nothrow_move_assignable_v<delayed_call>);
static_assert(!std::is_copy_constructible_v<delayed_call> && !std::is_copy_assignable_v<delayed_call>);

namespace {

// Under a sanitizer, where a goroutine or a block of memory is far dearer, that many fewer.
#if defined(SUPPORT_HAS_TSAN)
constexpr int many = 1'000;
#elif defined(SUPPORT_HAS_ASAN)
constexpr int many = 20'000;
#else
constexpr int many = 1'000'000;
#endif

// How often a function was called, and how many copies of it there are.
struct tally {
  std::atomic<int> calls{0};
  std::atomic<int> alive{0};
};

class counted {
 public:
  explicit counted(tally& t) : tally_(&t) { ++tally_->alive; }
  counted(const counted& other) : tally_(other.tally_) { ++tally_->alive; }
  counted(counted&& other) noexcept : tally_(other.tally_) { ++tally_->alive; }
  counted& operator=(const counted&) = delete;
  ~counted() { --tally_->alive; }
  void operator()() const { ++tally_->calls; }

 private:
  tally* tally_;
};

void await_end(const tally& t) {
  support::await([&] { return t.alive.load() == 0; });
}

}  // namespace

// --- the queue ------------------------------------------------------------------------------------------------------

namespace {

using runtime_queue = turnkey::runtime::timer_queue;

// A timer that writes down that it has fired. Its times are in the future, so only a test that pretends that they have
// come fires it.
struct noted_timer : turnkey::runtime::timer {
  std::vector<const noted_timer*>* notes = nullptr;
  std::int64_t period = 0;

  noted_timer() {
    fire = [](turnkey::runtime::timer& self, std::int64_t now) noexcept {
      auto& mine = static_cast<noted_timer&>(self);
      mine.notes->push_back(&mine);
      return mine.period == 0 ? turnkey::platform::no_deadline : now + mine.period;
    };
  }
};

}  // namespace

// Starts, stops and fires at random; a sorted list tells what must be left.
TEST(TimerQueue, FiresWhatIsDueInTheOrderOfItsTimesAndNothingElse) {
  const std::int64_t future = turnkey::platform::now() + 3'600'000'000'000;
  std::vector<const noted_timer*> fired;
  std::vector<std::unique_ptr<noted_timer>> timers;
  for (int i = 0; i < 2000; ++i) {
    timers.push_back(std::make_unique<noted_timer>());
    timers.back()->notes = &fired;
    timers.back()->shard = 3;
  }
  support::dice luck(7);
  std::vector<const noted_timer*> pending;
  std::int64_t now = future;
  for (int step = 0; step < 20'000; ++step) {
    noted_timer& t = *timers[static_cast<std::size_t>(luck.roll(2000))];
    const bool is_pending = t.place != noted_timer::no_place;
    EXPECT_EQ(is_pending, std::ranges::count(pending, &t) == 1);
    if (is_pending) {
      EXPECT_TRUE(runtime_queue::cancel(t));
      EXPECT_FALSE(runtime_queue::cancel(t));
      std::erase(pending, &t);
    } else {
      t.deadline = now + luck.roll(1'000'000);
      ASSERT_TRUE(runtime_queue::start(t));
      pending.push_back(&t);
    }
    std::int64_t least = turnkey::platform::no_deadline;
    for (const noted_timer* each : pending) least = std::min(least, each->deadline);
    ASSERT_EQ(runtime_queue::earliest_of(3), least);
    if (step % 100 != 0) continue;
    now += luck.roll(100'000);
    fired.clear();
    while (runtime_queue::fire_shard(3, now) != 0) {
    }
    EXPECT_TRUE(std::ranges::is_sorted(fired, {}, [](const noted_timer* each) { return each->deadline; }));
    for (const noted_timer* each : fired) {
      EXPECT_LE(each->deadline, now);
      EXPECT_EQ(std::erase(pending, each), 1U);
    }
    for (const noted_timer* each : pending) EXPECT_GT(each->deadline, now);
  }
  for (const auto& t : timers) runtime_queue::cancel(*t);
  EXPECT_EQ(runtime_queue::earliest_of(3), turnkey::platform::no_deadline);
}

TEST(TimerQueue, FiresAgainWhatSaysWhen) {
  const std::int64_t future = turnkey::platform::now() + 3'600'000'000'000;
  std::vector<const noted_timer*> fired;
  noted_timer t;
  t.notes = &fired;
  t.period = 10;
  t.deadline = future;
  ASSERT_TRUE(runtime_queue::start(t));
  EXPECT_EQ(runtime_queue::fire(future - 1), 0U);
  EXPECT_EQ(runtime_queue::fire(future), 1U);
  EXPECT_EQ(runtime_queue::earliest(), future + 10);
  EXPECT_EQ(runtime_queue::fire(future + 9), 0U);
  EXPECT_EQ(runtime_queue::fire(future + 25), 1U);
  EXPECT_EQ(runtime_queue::earliest(), future + 35);
  EXPECT_TRUE(runtime_queue::cancel(t));
  EXPECT_EQ(runtime_queue::fire(future + 100), 0U);
}

// --- after ----------------------------------------------------------------------------------------------------------

namespace {

using tick_receiver = turnkey::receiver<clock_type::time_point>;

// A tick is there.
bool has_tick(const tick_receiver& channel) {
  clock_type::time_point when;
  return channel.try_recv(when) == turnkey::chan_status::ok;
}

bool is_queue_empty() { return runtime_queue::earliest() == turnkey::platform::no_deadline; }

}  // namespace

TEST(After, TicksNotBeforeItsTime) {
  support::run_everywhere([](const stage&) {
    for (const auto delay : {1us, 300us, 3000us}) {
      const auto start = clock_type::now();
      turnkey::after(delay).recv();
      EXPECT_GE(clock_type::now() - start, delay);
    }
  });
}

TEST(After, TellsWhenItWasDueHoweverLateThatIsRead) {
  support::run_everywhere([](const stage&) {
    const auto before = clock_type::now();
    const auto channel = turnkey::after(1ms);
    const auto after = clock_type::now();
    turnkey::this_goroutine::sleep_for(4ms);
    const auto due = channel.recv();
    ASSERT_TRUE(due.has_value());
    EXPECT_GE(*due, before + 1ms);
    EXPECT_LE(*due, after + 1ms);
  });
}

TEST(After, TicksOnce) {
  support::run_everywhere([](const stage&) {
    const auto channel = turnkey::after(0s);
    EXPECT_TRUE(channel.recv().has_value());
    clock_type::time_point when;
    EXPECT_EQ(channel.recv_for(when, 1ms), turnkey::chan_status::timeout);
    EXPECT_FALSE(has_tick(channel));
  });
}

TEST(After, HasTickedAlreadyIfTheTimeIsNotPositive) {
  EXPECT_TRUE(has_tick(turnkey::after(0s)));
  EXPECT_TRUE(has_tick(turnkey::after(-1ns)));
  EXPECT_TRUE(has_tick(turnkey::after(std::chrono::hours::min())));
  const auto before = clock_type::now();
  const auto due = turnkey::after(std::chrono::nanoseconds::min()).recv();
  EXPECT_GE(*due, before);
}

TEST(After, IsPendingForATimeThatIsTooLongToCount) {
  support::run_everywhere([](const stage&) {
    clock_type::time_point when;
    for (const auto& channel :
         {turnkey::after(std::chrono::nanoseconds::max()), turnkey::after(std::chrono::hours::max()),
          turnkey::after(std::chrono::duration<double>(1e300))}) {
      EXPECT_FALSE(has_tick(channel));
      EXPECT_EQ(channel.recv_for(when, 100us), turnkey::chan_status::timeout);
    }
  });
}

TEST(After, LooksUnbuffered) {
  const auto pending = turnkey::after(1h);
  const auto due = turnkey::after(0s);
  for (const auto& channel : {pending, due}) {
    EXPECT_EQ(channel.size(), 0U);
    EXPECT_EQ(channel.capacity(), 0U);
  }
  EXPECT_TRUE(has_tick(due));
}

TEST(After, IsInNoQueueUnlessSomebodyWaits) {
  const auto channel = turnkey::after(1h);
  const turnkey::timer timer(1h);
  const turnkey::ticker ticker(1h);
  EXPECT_TRUE(is_queue_empty());
  clock_type::time_point when;
  EXPECT_EQ(channel.try_recv(when), turnkey::chan_status::would_block);
  EXPECT_EQ(channel.recv_for(when, 1us), turnkey::chan_status::timeout);
  EXPECT_TRUE(is_queue_empty());
}

// What it kept would be seen by LeakSanitizer.
TEST(After, LeavesNothingBehindWhenItIsAbandoned) {
  for (int i = 0; i < many; ++i) EXPECT_FALSE(has_tick(turnkey::after(1h)));
  EXPECT_TRUE(is_queue_empty());
}

TEST(After, KeepsAMillion) {
  std::vector<tick_receiver> channels;
  for (int i = 0; i < many; ++i) channels.push_back(turnkey::after(i % 2 == 0 ? 1h : 0h));
  int ticks = 0;
  for (const tick_receiver& channel : channels) ticks += has_tick(channel) ? 1 : 0;
  EXPECT_EQ(ticks, many / 2);
}

TEST(After, EndsAReceiveThatHasALimitOrAStopTokenToo) {
  support::run_everywhere([](const stage&) {
    clock_type::time_point when;
    EXPECT_EQ(turnkey::after(100us).recv_for(when, 1h), turnkey::chan_status::ok);
    EXPECT_EQ(turnkey::after(100us).recv_until(when, clock_type::now() + 1h), turnkey::chan_status::ok);
    const std::stop_source nobody;
    EXPECT_TRUE(turnkey::after(100us).recv(nobody.get_token()).has_value());
    EXPECT_EQ(turnkey::after(1h).recv_for(when, 100us), turnkey::chan_status::timeout);
    std::stop_source stopped;
    run_after(100us, [&] { stopped.request_stop(); });
    EXPECT_FALSE(turnkey::after(1h).recv(stopped.get_token()).has_value());
  });
}

TEST(After, EndsTheWaitOfOneOfSeveralAtATime) {
  support::run_everywhere([](const stage& where) {
    const auto channel = turnkey::after(2ms);
    std::atomic<int> ticks{0};
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          clock_type::time_point when;
          if (channel.recv_for(when, 5ms) == turnkey::chan_status::ok) ++ticks;
        });
      }
    }
    EXPECT_EQ(ticks.load() + (has_tick(channel) ? 1 : 0), 1);
    EXPECT_TRUE(is_queue_empty());
  });
}

// --- timer ----------------------------------------------------------------------------------------------------------

TEST(Timer, IsStoppedAsLongAsNobodyHasReceivedItsTick) {
  support::run_everywhere([](const stage&) {
    turnkey::timer pending(1h);
    EXPECT_TRUE(pending.stop());
    EXPECT_FALSE(pending.stop());
    turnkey::timer due(0s);
    EXPECT_TRUE(due.stop());
    EXPECT_FALSE(has_tick(due.channel()));
    EXPECT_FALSE(due.stop());
    turnkey::timer received(0s);
    EXPECT_TRUE(has_tick(received.channel()));
    EXPECT_FALSE(received.stop());
  });
}

// One that was put into the channel while somebody waited whose limit then ended is as stale as one that was not.
TEST(Timer, HasNoStaleTickAfterStopOrReset) {
  support::run_everywhere([](const stage& where) {
    support::dice luck(3);
    for (int i = 0; i < 200; ++i) {
      turnkey::timer timer(luck.moment() / 50);
      std::atomic<bool> is_received{false};
      support::crew others(where);
      others.start([&, delay = luck.moment() / 50] {
        clock_type::time_point when;
        if (timer.channel().recv_for(when, delay) == turnkey::chan_status::ok) is_received = true;
      });
      luck.dawdle();
      const bool is_prevented = i % 2 == 0 ? timer.stop() : timer.reset(1h);
      EXPECT_FALSE(has_tick(timer.channel()));
      others.join();
      EXPECT_NE(is_prevented, is_received.load());
      EXPECT_FALSE(has_tick(timer.channel()));
      EXPECT_EQ(timer.stop(), i % 2 != 0);
    }
  });
}

TEST(Timer, IsResetWhetherItIsPendingDueReceivedOrStopped) {
  support::run_everywhere([](const stage&) {
    turnkey::timer timer(1h);
    EXPECT_TRUE(timer.reset(0s));  // was pending
    EXPECT_TRUE(timer.reset(1h));  // was due
    EXPECT_FALSE(has_tick(timer.channel()));
    EXPECT_TRUE(timer.reset(0s));
    EXPECT_TRUE(has_tick(timer.channel()));
    EXPECT_FALSE(timer.reset(100us));  // was received
    EXPECT_TRUE(timer.channel().recv().has_value());
    EXPECT_FALSE(timer.stop());
    EXPECT_FALSE(timer.reset(1h));  // was stopped
    EXPECT_TRUE(timer.stop());
    EXPECT_FALSE(timer.reset(0s));
    EXPECT_TRUE(timer.channel().recv().has_value());
  });
}

TEST(Timer, TellsTheTimeOfItsLastStart) {
  turnkey::timer timer(0s);
  const auto before = clock_type::now();
  timer.reset(50us);
  const auto due = timer.channel().recv();
  EXPECT_GE(*due, before + 50us);
}

TEST(Timer, WakesWhoWaitsWhenItIsResetToAnEarlierTime) {
  support::run_everywhere([](const stage& where) {
    turnkey::timer timer(1h);
    support::crew others(where);
    support::watched waiting;
    others.start(waiting, [&] { EXPECT_TRUE(timer.channel().recv().has_value()); });
    EXPECT_TRUE(waiting.comes_to_wait());
    EXPECT_FALSE(is_queue_empty());
    EXPECT_TRUE(timer.reset(200us));
    others.join();
    EXPECT_TRUE(is_queue_empty());
  });
}

TEST(Timer, LeavesWhoWaitsWaitingWhenItIsStopped) {
  support::run_everywhere([](const stage& where) {
    turnkey::timer timer(1h);
    support::crew others(where);
    support::watched waiting;
    others.start(waiting, [&] { EXPECT_TRUE(timer.channel().recv().has_value()); });
    EXPECT_TRUE(waiting.comes_to_wait());
    EXPECT_TRUE(timer.stop());
    EXPECT_TRUE(is_queue_empty());
    EXPECT_FALSE(waiting.has_left());
    EXPECT_FALSE(timer.reset(0s));
    others.join();
  });
}

TEST(Timer, TicksForOneOfThoseWhoWait) {
  support::run_everywhere([](const stage& where) {
    turnkey::timer timer(1h);
    std::atomic<int> ticks{0};
    support::crew others(where);
    std::array<support::watched, 3> waiting;
    for (support::watched& who : waiting) {
      others.start(who, [&] {
        timer.channel().recv();
        ++ticks;
      });
      EXPECT_TRUE(who.comes_to_wait());
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      EXPECT_EQ(timer.reset(0s), i == 0);
      support::await([&] { return waiting[i].has_left(); });  // first come, first served
      EXPECT_EQ(ticks.load(), static_cast<int>(i) + 1);
    }
  });
}

TEST(Timer, IsStoppedByItsDestructor) {
  support::run_everywhere([](const stage&) {
    tick_receiver pending;
    tick_receiver due;
    {
      const turnkey::timer first(100us);
      const turnkey::timer second(0s);
      pending = first.channel();
      due = second.channel();
    }
    turnkey::this_goroutine::sleep_for(200us);
    clock_type::time_point when;
    EXPECT_EQ(pending.recv_for(when, 200us), turnkey::chan_status::timeout);
    EXPECT_FALSE(has_tick(due));
  });
}

TEST(Timer, MayBeDestroyedWhileOthersWaitForItsChannel) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 20; ++i) {
      auto timer = std::make_unique<turnkey::timer>(std::chrono::microseconds(i * 5));
      support::crew others(where);
      for (int k = 0; k < 2; ++k) {
        others.start([channel = timer->channel()] {
          clock_type::time_point when;
          static_cast<void>(channel.recv_for(when, 100us));
        });
      }
      timer.reset();
    }
  });
}

TEST(Timer, LetsTheReceiverSeeWhatWasDoneBeforeTheStartAndTheReset) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 50; ++i) {
      int first = 0;
      int second = 0;
      turnkey::timer timer(1h);
      turnkey::semaphore received(1);
      received.acquire();
      support::crew others(where);
      others.start([&] {
        timer.channel().recv();
        EXPECT_EQ(first, 1);
        received.release();
        if (!timer.channel().recv()) return;
        EXPECT_EQ(second, 1);
      });
      first = 1;
      timer.reset(std::chrono::microseconds(i));
      received.acquire();
      second = 1;
      timer.reset(0s);
    }
  });
}

// Each start ends in a tick that somebody received, or in a stop or reset that says that it prevented one.
TEST(Timer, IsEitherReceivedOrPrevented) {
  support::run_everywhere([](const stage& where) {
    constexpr int rounds = 300;
    turnkey::timer timer(0s);
    int starts = 1;
    std::atomic<int> ends{0};
    std::atomic<bool> is_over{false};
    support::crew receivers(where);
    for (int i = 0; i < 2; ++i) {
      receivers.start([&, i] {
        support::dice luck(static_cast<std::uint64_t>(i));
        while (!is_over) {
          clock_type::time_point when;
          const bool is_received = i == 0 ? has_tick(timer.channel())
                                          : timer.channel().recv_for(when, luck.moment()) == turnkey::chan_status::ok;
          if (is_received) ++ends;
          turnkey::this_goroutine::yield();
        }
      });
    }
    support::dice luck(9);
    for (int i = 0; i < rounds; ++i) {
      luck.dawdle();
      if (i % 3 == 0) ends += timer.stop() ? 1 : 0;
      ends += timer.reset(luck.moment() / 20) ? 1 : 0;
      ++starts;
    }
    ends += timer.stop() ? 1 : 0;
    is_over = true;
    receivers.join();
    EXPECT_EQ(ends.load(), starts);
  });
}

// --- ticker ---------------------------------------------------------------------------------------------------------

TEST(Ticker, KeepsToItsRhythm) {
  support::run_everywhere([](const stage&) {
    const auto before = clock_type::now();
    const turnkey::ticker every(200us);
    const auto after = clock_type::now();
    clock_type::time_point first;
    clock_type::time_point last;
    int ticks = 0;
    for (const auto due : every.channel()) {
      EXPECT_GE(clock_type::now(), due);
      if (ticks == 0) {
        first = due;
      } else {
        EXPECT_GT(due, last);
      }
      EXPECT_EQ((due - first) % 200us, 0ns);
      last = due;
      if (++ticks == 10) break;
    }
    EXPECT_GE(first, before + 200us);
    EXPECT_LE(first, after + 200us);
    EXPECT_GE(last - first, 9 * 200us);
  });
}

TEST(Ticker, DropsTicksForASlowReceiver) {
  support::run_everywhere([](const stage&) {
    const turnkey::ticker every(100us);
    turnkey::this_goroutine::sleep_for(2ms);
    const auto now = clock_type::now();
    const auto first = every.channel().recv();
    const auto second = every.channel().recv();
    EXPECT_LE(*first, now - 1ms);  // the first that came due
    EXPECT_GE(*second, now);       // those after it found the channel full
    EXPECT_EQ((*second - *first) % 100us, 0ns);
  });
}

TEST(Ticker, TicksForManyReceiversOneByOne) {
  support::run_everywhere([](const stage& where) {
    const turnkey::ticker every(50us);
    std::mutex mu;
    std::vector<clock_type::time_point> all;
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          for (int k = 0; k < 10; ++k) {
            const auto due = every.channel().recv();
            const std::scoped_lock hold(mu);
            all.push_back(*due);
          }
        });
      }
    }
    std::ranges::sort(all);
    EXPECT_EQ(std::ranges::adjacent_find(all), all.end());  // nobody got another's tick
  });
}

TEST(Ticker, StopsForGood) {
  support::run_everywhere([](const stage&) {
    turnkey::ticker every(50us);
    EXPECT_TRUE(every.channel().recv().has_value());
    turnkey::this_goroutine::sleep_for(200us);
    every.stop();
    clock_type::time_point when;
    EXPECT_FALSE(has_tick(every.channel()));
    EXPECT_EQ(every.channel().recv_for(when, 300us), turnkey::chan_status::timeout);
    every.stop();
    every.reset(50us);
    EXPECT_TRUE(every.channel().recv().has_value());
  });
}

TEST(Ticker, IsResetToAnotherPeriod) {
  support::run_everywhere([](const stage& where) {
    turnkey::ticker every(1h);
    support::crew others(where);
    support::watched waiting;
    others.start(waiting, [&] {
      const auto first = every.channel().recv();
      const auto second = every.channel().recv();
      EXPECT_EQ((*second - *first) % 30us, 0ns);
    });
    EXPECT_TRUE(waiting.comes_to_wait());
    every.reset(30us);
    others.join();
    every.reset(1h);
    EXPECT_FALSE(has_tick(every.channel()));
  });
}

TEST(Ticker, RefusesAPeriodThatIsNotPositive) {
  const auto words_of = [](auto&& f) -> std::string {
    try {
      f();
    } catch (const std::logic_error& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  for (const auto period : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    EXPECT_EQ(words_of([&] { const turnkey::ticker every(period); }), "non-positive interval for NewTicker");
  }
  turnkey::ticker every(1ms);
  EXPECT_EQ(words_of([&] { every.reset(0s); }), "non-positive interval for Ticker.Reset");
  EXPECT_EQ(words_of([&] { every.reset(-1h); }), "non-positive interval for Ticker.Reset");
  EXPECT_TRUE(every.channel().recv().has_value());
}

TEST(Ticker, TakesTheShortestAndTheLongestPeriod) {
  const turnkey::ticker fast(1ns);
  const auto first = fast.channel().recv();
  const auto second = fast.channel().recv();
  EXPECT_LT(*first, *second);
  turnkey::ticker slow(std::chrono::nanoseconds::max());
  EXPECT_FALSE(has_tick(slow.channel()));
  slow.reset(std::chrono::hours::max());
  EXPECT_FALSE(has_tick(slow.channel()));
  const turnkey::ticker tiny(std::chrono::duration<double, std::nano>(0.1));
  EXPECT_TRUE(tiny.channel().recv().has_value());
}

// --- run_after ------------------------------------------------------------------------------------------------------

TEST(RunAfter, RunsItsFunctionOnceInAGoroutineOfItsOwn) {
  support::run_everywhere([](const stage&) {
    const std::uint64_t here = turnkey::this_goroutine::get_id();
    turnkey::wait_group ran;
    ran.add();
    std::atomic<int> calls{0};
    const delayed_call call = run_after(1ms, [&] {
      ++calls;
      EXPECT_NE(turnkey::this_goroutine::get_id(), 0U);
      EXPECT_NE(turnkey::this_goroutine::get_id(), here);
      turnkey::this_goroutine::yield();
      ran.done();
    });
    ran.wait();
    EXPECT_EQ(calls.load(), 1);
  });
}

TEST(RunAfter, DoesNotRunItBeforeItsTime) {
  support::run_everywhere([](const stage&) {
    for (const auto delay : {1us, 300us, 3000us}) {
      turnkey::wait_group ran;
      ran.add();
      const auto start = clock_type::now();
      clock_type::time_point when;
      run_after(delay, [&] {
        when = clock_type::now();
        ran.done();
      });
      ran.wait();
      EXPECT_GE(when - start, delay);
    }
  });
}

TEST(RunAfter, RunsItAtOnceIfTheTimeIsNotPositive) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group ran;
    ran.add(5);
    const auto f = [&] { ran.done(); };
    run_after(0s, f);
    run_after(-1h, f);
    run_after(std::chrono::nanoseconds::min(), f);
    run_after(std::chrono::hours::min(), f);
    run_after(std::chrono::duration<double>(-std::numeric_limits<double>::infinity()), f);
    ran.wait();
  });
}

TEST(RunAfter, IsPendingForATimeThatIsTooLongToCount) {
  tally t;
  std::array<delayed_call, 4> calls{
      run_after(std::chrono::nanoseconds::max(), counted(t)), run_after(std::chrono::hours::max(), counted(t)),
      run_after(std::chrono::duration<double>(std::numeric_limits<double>::infinity()), counted(t)),
      run_after(std::chrono::duration<long double>(9.3e9L), counted(t))};
  turnkey::this_goroutine::sleep_for(2ms);
  for (delayed_call& call : calls) EXPECT_TRUE(call.stop());
  EXPECT_EQ(t.calls.load(), 0);
}

TEST(RunAfter, CountsTheTimeInTheCallersUnitAndRoundsUp) {
  turnkey::wait_group ran;
  ran.add();
  const auto start = clock_type::now();
  run_after(std::chrono::duration<float, std::milli>(0.5F), [&] { ran.done(); });
  ran.wait();
  EXPECT_GE(clock_type::now() - start, 500us);
}

TEST(RunAfter, PreventsTheCallIfStoppedInTimeAndDestroysTheFunction) {
  support::run_everywhere([](const stage&) {
    tally t;
    delayed_call call = run_after(1h, counted(t));
    EXPECT_EQ(t.alive.load(), 1);
    EXPECT_TRUE(call.stop());
    EXPECT_EQ(t.alive.load(), 0);
    EXPECT_FALSE(call.stop());
    EXPECT_EQ(t.calls.load(), 0);
  });
}

TEST(RunAfter, CannotBeStoppedOnceItHasRun) {
  support::run_everywhere([](const stage&) {
    tally t;
    delayed_call call = run_after(0s, counted(t));
    await_end(t);
    EXPECT_EQ(t.calls.load(), 1);
    EXPECT_FALSE(call.stop());
  });
}

TEST(RunAfter, DoesNotWaitForAFunctionThatRuns) {
  support::run_everywhere([](const stage&) {
    turnkey::semaphore running(1);
    turnkey::semaphore may_end(1);
    running.acquire();
    may_end.acquire();
    tally t;
    delayed_call call = run_after(0s, [&, mine = counted(t)] {
      running.release();
      may_end.acquire();
    });
    running.acquire();
    EXPECT_FALSE(call.stop());
    EXPECT_EQ(t.alive.load(), 1);
    may_end.release();
    await_end(t);
  });
}

TEST(RunAfter, CannotBeStoppedByItsOwnFunction) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    delayed_call call;
    turnkey::wait_group ran;
    ran.add();
    mu.lock();
    call = run_after(0s, [&] {
      mu.lock();
      EXPECT_FALSE(call.stop());
      mu.unlock();
      ran.done();
    });
    mu.unlock();
    ran.wait();
  });
}

TEST(RunAfter, GoesOnWhenItsHandleIsDestroyed) {
  support::run_everywhere([](const stage&) {
    tally t;
    { const delayed_call call = run_after(100us, counted(t)); }
    await_end(t);
    EXPECT_EQ(t.calls.load(), 1);
  });
}

TEST(RunAfter, IsStoppedByTheHandleThatHasItNow) {
  tally t;
  delayed_call nothing;
  EXPECT_FALSE(nothing.stop());
  delayed_call first = run_after(1h, counted(t));
  delayed_call second = std::move(first);
  EXPECT_FALSE(first.stop());  // NOLINT(bugprone-use-after-move): it is the handle of nothing now
  delayed_call third = run_after(1h, counted(t));
  third = std::move(second);  // the call that `third` was for stays pending
  EXPECT_EQ(t.alive.load(), 2);
  EXPECT_TRUE(third.stop());
  EXPECT_EQ(t.alive.load(), 1);
  delayed_call& same = third;
  third = std::move(same);
  EXPECT_FALSE(third.stop());
}

TEST(RunAfter, TakesFunctionsThatCanOnlyBeMoved) {
  turnkey::wait_group ran;
  ran.add();
  run_after(0s, [&, number = std::make_unique<int>(7)]() mutable {
    EXPECT_EQ(*std::exchange(number, nullptr), 7);
    ran.done();
  });
  ran.wait();
}

TEST(RunAfter, TakesFunctionsOfAnySizeAndAlignment) {
  struct alignas(64) wide {
    std::array<std::byte, 1024> bytes{};
    turnkey::wait_group* ran;
    void operator()() {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(this) % 64, 0U);
      std::ranges::fill(bytes, std::byte{1});
      ran->done();
    }
  };
  turnkey::wait_group ran;
  ran.add(2);
  run_after(0s, wide{.ran = &ran});
  delayed_call call = run_after(1h, wide{.ran = &ran});
  EXPECT_TRUE(call.stop());
  run_after(0s, [&] { ran.done(); });
  ran.wait();
}

TEST(RunAfter, TakesAPlainFunction) {
  static turnkey::wait_group ran;
  ran.add();
  run_after(
      0s, +[] { ran.done(); });
  ran.wait();
}

TEST(RunAfter, StartsNothingIfTheFunctionCannotBeCopied) {
  struct uncopyable_today {
    uncopyable_today() = default;
    uncopyable_today(const uncopyable_today&) { throw std::runtime_error("no copy today"); }
    void operator()() const { ADD_FAILURE() << "it ran"; }
  };
  const uncopyable_today f;
  EXPECT_THROW(run_after(0s, f), std::runtime_error);
}

TEST(RunAfter, LetsItsFunctionSeeWhatWasDoneBefore) {
  support::run_everywhere([](const stage&) {
    for (int i = 0; i < 50; ++i) {
      int plain = 0;
      turnkey::wait_group ran;
      ran.add();
      plain = 42;
      run_after(std::chrono::microseconds(i), [&] {
        EXPECT_EQ(plain, 42);
        plain = 43;
        ran.done();
      });
      ran.wait();
      EXPECT_EQ(plain, 43);
    }
  });
}

TEST(RunAfter, MayBeCalledByItsOwnFunction) {
  support::run_everywhere([](const stage&) {
    turnkey::wait_group ran;
    ran.add();
    int left = 20;
    std::function<void()> again = [&] {
      if (--left == 0) return ran.done();
      run_after(10us, again);
    };
    run_after(0s, again);
    ran.wait();
  });
}

// Whether it was prevented or has run, it is one of the two, and stop() knows which.
TEST(RunAfter, IsEitherStoppedOrRun) {
  support::run_everywhere([](const stage& where) {
    constexpr int calls = 300;
    std::atomic<int> ran{0};
    std::atomic<int> prevented{0};
    tally t;
    support::crew others(where);
    for (int who = 0; who < 3; ++who) {
      others.start([&, who] {
        support::dice luck(static_cast<std::uint64_t>(who));
        for (int i = 0; i < calls; ++i) {
          delayed_call call = run_after(luck.moment() / 20, [&ran, mine = counted(t)] { ++ran; });
          luck.dawdle();
          if (call.stop()) ++prevented;
        }
      });
    }
    others.join();
    await_end(t);
    EXPECT_EQ(ran.load() + prevented.load(), 3 * calls);
  });
}

TEST(RunAfter, IsPreventedByExactlyOneOfManyWhoStopIt) {
  support::run_everywhere([](const stage& where) {
    for (int round = 0; round < 50; ++round) {
      tally t;
      std::atomic<int> prevented{0};
      delayed_call call = run_after(std::chrono::microseconds(round), counted(t));
      {
        support::crew others(where);
        for (int i = 0; i < 3; ++i) {
          others.start([&] {
            if (call.stop()) ++prevented;
          });
        }
      }
      await_end(t);
      EXPECT_EQ(t.calls.load() + prevented.load(), 1);
    }
  });
}

TEST(RunAfter, KeepsAMillionPending) {
  support::with_procs(2, [] {
    tally t;
    support::dice luck(1);
    std::vector<delayed_call> calls;
    for (int i = 0; i < many; ++i) {
      calls.push_back(run_after(1h + std::chrono::milliseconds(luck.roll(3'600'000)), counted(t)));
    }
    EXPECT_EQ(t.alive.load(), many);
    for (std::size_t i = calls.size(); i > 1; --i) {
      std::swap(calls[i - 1], calls[static_cast<std::size_t>(luck.roll(static_cast<int>(i)))]);
    }
    int prevented = 0;
    for (delayed_call& call : calls) prevented += call.stop() ? 1 : 0;
    EXPECT_EQ(prevented, many);
    EXPECT_EQ(t.alive.load(), 0);
    EXPECT_EQ(t.calls.load(), 0);
  });
}

TEST(RunAfter, RunsAMillion) {
  support::with_procs(2, [] {
    tally t;
    support::dice luck(2);
    for (int i = 0; i < many; ++i) run_after(std::chrono::microseconds(luck.roll(100'000)), counted(t));
    await_end(t);
    EXPECT_EQ(t.calls.load(), many);
  });
}

// They are fired although every worker is busy with goroutines that never leave the others a gap.
TEST(RunAfter, IsNotDelayedForEverByBusyGoroutines) {
  for (const int procs : {1, 2, 4}) {
    support::with_procs(procs, [&] {
      std::atomic<bool> is_over{false};
      turnkey::wait_group busy;
      for (int i = 0; i < 2 * procs; ++i) {
        busy.go([&] {
          while (!is_over) turnkey::this_goroutine::yield();
        });
      }
      turnkey::wait_group ran;
      ran.add(2);
      run_after(1ms, [&] { ran.done(); });
      busy.go([&] { run_after(1ms, [&] { ran.done(); }); });
      ran.wait();
      is_over = true;
      busy.wait();
    });
  }
}

TEST(RunAfter, EndsTheProgramIfTheFunctionIsNull) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_after(1s, std::function<void()>()), testing::ExitedWithCode(2), "fatal error: go of nil func value");
  EXPECT_EXIT(run_after(1s, static_cast<void (*)()>(nullptr)), testing::ExitedWithCode(2),
              "fatal error: go of nil func value");
}
