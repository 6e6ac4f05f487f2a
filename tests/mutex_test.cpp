#include <turnkey/mutex.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

static_assert(support::timed_lockable<turnkey::mutex>);
static_assert(support::stays_where_it_is<turnkey::mutex>);
static_assert(sizeof(turnkey::mutex) <= 16);
static_assert(std::is_nothrow_default_constructible_v<turnkey::mutex>);

namespace {

constinit turnkey::mutex static_mutex;

}  // namespace

TEST(Mutex, IsReadyBeforeAnyConstructorRuns) {
  const std::scoped_lock hold(static_mutex);
  EXPECT_FALSE(static_mutex.try_lock());
}

TEST(Mutex, AdmitsOneHolderAtATime) {
  support::run_everywhere([](const stage& where) {
    constexpr int holders = 6;
    constexpr int rounds = 200;
    turnkey::mutex mu;
    int sum = 0;
    bool is_held = false;
    {
      support::crew others(where);
      for (int i = 0; i < holders; ++i) {
        others.start([&, i] {
          support::dice luck(static_cast<std::uint64_t>(i));
          const std::stop_source source;
          for (int done = 0; done < rounds;) {
            switch (luck.roll(4)) {
              case 0:
                if (!mu.try_lock()) {
                  turnkey::this_goroutine::yield();
                  continue;
                }
                break;
              case 1:
                if (!mu.try_lock_for(luck.moment())) continue;
                break;
              case 2: ASSERT_TRUE(mu.lock(source.get_token())); break;
              default: mu.lock();
            }
            EXPECT_FALSE(is_held);
            is_held = true;
            ++sum;
            luck.dawdle();
            is_held = false;
            mu.unlock();
            ++done;
          }
        });
      }
    }
    EXPECT_EQ(sum, holders * rounds);
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

// However many try at once, a free mutex goes to exactly one of them: a try does not fail because of other tries.
TEST(Mutex, GoesToExactlyOneOfThoseWhoTryAtOnce) {
  support::run_everywhere([](const stage& where) {
    constexpr int runners = 4;
    constexpr int rounds = 20;
    turnkey::mutex mu;
    std::atomic<int> winners{0};
    support::start_line start(runners);
    support::start_line finish(runners);
    support::crew others(where);
    for (int runner = 0; runner < runners; ++runner) {
      others.start([&, runner] {
        for (int i = 0; i < rounds; ++i) {
          start.wait();
          const bool has_won = mu.try_lock();
          if (has_won) ++winners;
          finish.wait();
          if (runner == 0) {
            EXPECT_EQ(winners.load(), i + 1);
          }
          if (has_won) mu.unlock();
        }
      });
    }
  });
}

TEST(Mutex, IsNotSpoiledByWaitersWhoGaveUp) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    for (int i = 0; i < 20; ++i) {
      mu.lock();
      {
        support::crew others(where);
        others.start([&] { EXPECT_FALSE(mu.try_lock_for(50us)); });
        others.start([&] { EXPECT_FALSE(mu.try_lock_for(100us)); });
      }
      mu.unlock();
      for (int k = 0; k < 10; ++k) {
        ASSERT_TRUE(mu.try_lock());
        ASSERT_FALSE(mu.try_lock());
        mu.unlock();
      }
    }
  });
}

// Every waiter parks before the holder lets go; each unlock must then bring out the next one by itself.
TEST(Mutex, LetsOutAllWhoWaitOneAfterTheOther) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t waiters = 20;
    turnkey::mutex mu;
    std::array<support::watched, waiters> queue;
    std::size_t served = 0;
    mu.lock();
    {
      support::crew others(where);
      for (auto& waiter : queue) {
        others.start(waiter, [&] {
          const std::scoped_lock hold(mu);
          ++served;
        });
      }
      for (auto& waiter : queue) EXPECT_TRUE(waiter.comes_to_wait());
      EXPECT_EQ(served, 0U);
      mu.unlock();
    }
    EXPECT_EQ(served, waiters);
  });
}

// A holder who takes the mutex back at once has the advantage of being awake; still everyone gets his turn.
TEST(Mutex, IsNotKeptByAHogFromManyOthers) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    std::array<support::watched, 4> guests;
    std::atomic<std::size_t> still_hungry{guests.size()};
    support::crew others(where);
    mu.lock();
    for (auto& guest : guests) {
      others.start(guest, [&] {
        for (int turn = 0; turn < 3; ++turn) {
          const std::scoped_lock hold(mu);
        }
        --still_hungry;
      });
    }
    for (auto& guest : guests) EXPECT_TRUE(guest.comes_to_wait());
    mu.unlock();
    while (still_hungry.load(std::memory_order_relaxed) > 0) {
      mu.lock();
      const auto until = std::chrono::steady_clock::now() + 100us;
      while (std::chrono::steady_clock::now() < until) {
      }
      mu.unlock();
    }
  });
}

TEST(Mutex, IsFreeAfterAnExceptionAndAnEarlyReturn) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    const auto withdraw = [&](int amount) {
      const std::lock_guard hold(mu);
      if (amount < 0) throw std::invalid_argument("negative amount");
      if (amount == 0) return;
      std::unique_lock again(mu, std::try_to_lock);
      EXPECT_FALSE(again.owns_lock());
    };
    EXPECT_THROW(withdraw(-1), std::invalid_argument);
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
    withdraw(0);
    withdraw(1);
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

TEST(Mutex, WorksWithTheStandardGuards) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    {
      std::unique_lock hold(mu);
      EXPECT_FALSE(mu.try_lock());
      hold.unlock();
      EXPECT_TRUE(hold.try_lock());
    }
    {
      std::unique_lock hold(mu, 1h);
      EXPECT_TRUE(hold.owns_lock());
    }
    {
      std::unique_lock hold(mu, std::defer_lock);
      EXPECT_TRUE(hold.try_lock_until(std::chrono::system_clock::now() + 1h));
    }
    {
      mu.lock();
      const std::lock_guard hold(mu, std::adopt_lock);
    }
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

// Opposite orders deadlock unless std::lock backs off; plain data shows that both locks are held.
TEST(Mutex, IsLockedTogetherWithOthersWithoutDeadlock) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex left;
    turnkey::mutex right;
    std::mutex foreign;
    int sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([&, i] {
          for (int k = 0; k < 50; ++k) {
            if (i % 2 == 0) {
              const std::scoped_lock hold(left, right, foreign);
              ++sum;
            } else {
              std::lock(foreign, right, left);
              ++sum;
              foreign.unlock();
              right.unlock();
              left.unlock();
            }
          }
        });
      }
    }
    EXPECT_EQ(sum, 200);
    EXPECT_EQ(std::try_lock(left, right), -1);
    right.unlock();
    EXPECT_EQ(std::try_lock(right, left), 1);
    left.unlock();
  });
}

TEST(Mutex, WorksWithTheStandardConditionVariable) {
  turnkey::mutex mu;
  std::condition_variable_any changed;
  int ping = 0;
  int pong = 0;
  std::jthread partner([&] {
    for (int i = 1; i <= 100; ++i) {
      std::unique_lock hold(mu);
      changed.wait(hold, [&] { return ping == i; });
      pong = i;
      changed.notify_all();
    }
  });
  for (int i = 1; i <= 100; ++i) {
    std::unique_lock hold(mu);
    ping = i;
    changed.notify_all();
    changed.wait(hold, [&] { return pong == i; });
  }
}

// Two goroutines that hold a mutex across a wait must not tie up the one worker they share.
TEST(Mutex, IsHeldAcrossOtherWaits) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex outer;
    turnkey::mutex inner;
    int sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([&] {
          for (int k = 0; k < 20; ++k) {
            const std::scoped_lock hold(outer);
            turnkey::this_goroutine::sleep_for(1us);
            const std::scoped_lock hold_more(inner);
            turnkey::this_goroutine::yield();
            ++sum;
          }
        });
      }
      for (int k = 0; k < 20; ++k) {
        const std::scoped_lock hold(inner);
        turnkey::this_goroutine::sleep_for(1us);
        ++sum;
      }
    }
    EXPECT_EQ(sum, 100);
  });
}
