// What mutex, both sides of rw_mutex and its reader view have in common, as tests over a "side": how one takes the lock,
// and somebody else who is in the way.
//
// A side has obstruct() / clear(), which keep others from acquiring it, and acquire(), acquire(token), try_acquire(),
// try_acquire_for(d), try_acquire_until(t), release().
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <ratio>
#include <stop_token>
#include <string>
#include <vector>

#include "support.hpp"

// The acquiring half of a side, by lock(), for anything TimedLockable.
template <class Lock>
struct acquires_by_lock {
  explicit acquires_by_lock(Lock& lock) : lockable(lock) {}
  void acquire() { lockable.lock(); }
  bool acquire(std::stop_token token) { return lockable.lock(std::move(token)); }
  bool try_acquire() { return lockable.try_lock(); }
  template <class Duration>
  bool try_acquire_for(const Duration& period) {
    return lockable.try_lock_for(period);
  }
  template <class TimePoint>
  bool try_acquire_until(const TimePoint& when) {
    return lockable.try_lock_until(when);
  }
  void release() { lockable.unlock(); }

  Lock& lockable;
};

template <class Side>
class ALock : public ::testing::Test {
 protected:
  using steady = std::chrono::steady_clock;
  using system = std::chrono::system_clock;
  using far = std::chrono::duration<double, std::ratio<3600>>;

  struct acquisition {
    const char* name;
    std::function<bool(Side&)> acquire;
  };

  // The forms that end only by getting the lock.
  static std::vector<acquisition> patient_forms() {
    using std::chrono::hours;
    static const std::stop_source nobody_asks;
    return {
        {"untimed", [](Side& side) { return side.acquire(), true; }},
        {"for an hour", [](Side& side) { return side.try_acquire_for(hours(1)); }},
        {"for the longest time in hours", [](Side& side) { return side.try_acquire_for(hours::max()); }},
        {"for the longest time in nanoseconds",
         [](Side& side) { return side.try_acquire_for(std::chrono::nanoseconds::max()); }},
        {"for infinitely many hours",
         [](Side& side) { return side.try_acquire_for(far(std::numeric_limits<double>::infinity())); }},
        {"until an hour from now", [](Side& side) { return side.try_acquire_until(steady::now() + hours(1)); }},
        {"until the end of the steady clock",
         [](Side& side) { return side.try_acquire_until(steady::time_point::max()); }},
        {"until an hour from now by the wall clock",
         [](Side& side) { return side.try_acquire_until(system::now() + hours(1)); }},
        {"until the end of the wall clock",
         [](Side& side) { return side.try_acquire_until(system::time_point::max()); }},
        {"with a token that can never be stopped", [](Side& side) { return side.acquire(std::stop_token()); }},
        {"with a token that nobody stops", [](Side& side) { return side.acquire(nobody_asks.get_token()); }},
    };
  }

  // The forms whose time is over when they start.
  static std::vector<acquisition> late_forms() {
    using namespace std::chrono_literals;
    return {
        {"for no time", [](Side& side) { return side.try_acquire_for(0s); }},
        {"for a negative time", [](Side& side) { return side.try_acquire_for(-1h); }},
        {"for the most negative time", [](Side& side) { return side.try_acquire_for(std::chrono::hours::min()); }},
        {"for minus infinity",
         [](Side& side) { return side.try_acquire_for(far(-std::numeric_limits<double>::infinity())); }},
        {"until now", [](Side& side) { return side.try_acquire_until(steady::now()); }},
        {"until an hour ago by the wall clock", [](Side& side) { return side.try_acquire_until(system::now() - 1h); }},
        {"until before the steady clock began",
         [](Side& side) { return side.try_acquire_until(steady::time_point::min()); }},
        {"until before the wall clock began",
         [](Side& side) { return side.try_acquire_until(system::time_point::min()); }},
    };
  }
};

TYPED_TEST_SUITE_P(ALock);

TYPED_TEST_P(ALock, IsTriedSuccessfullyExactlyWhileItIsFree) {
  TypeParam side;
  EXPECT_TRUE(side.try_acquire());
  side.release();
  side.obstruct();
  EXPECT_FALSE(side.try_acquire());
  side.clear();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(side.try_acquire()) << "a free lock was refused";
    side.release();
  }
}

TYPED_TEST_P(ALock, IsTriedOnceWhenTheTimeIsOver) {
  support::run_everywhere([&](const support::stage&) {
    TypeParam side;
    for (const auto& form : this->late_forms()) {
      EXPECT_TRUE(form.acquire(side)) << form.name;
      side.release();
      side.obstruct();
      EXPECT_FALSE(form.acquire(side)) << form.name;
      side.clear();
    }
    EXPECT_TRUE(side.try_acquire());
    side.release();
  });
}

TYPED_TEST_P(ALock, IsTakenByEveryFormWhenItIsFree) {
  support::run_everywhere([&](const support::stage&) {
    TypeParam side;
    for (const auto& form : this->patient_forms()) {
      EXPECT_TRUE(form.acquire(side)) << form.name;
      side.release();
    }
    side.obstruct();
    side.clear();
  });
}

TYPED_TEST_P(ALock, IsGrantedToWhoeverWaitsForIt) {
  support::run_everywhere([&](const support::stage& where) {
    for (const auto& form : this->patient_forms()) {
      TypeParam side;
      support::watched waiter;
      bool is_mine = false;
      side.obstruct();
      {
        support::crew others(where);
        others.start(waiter, [&] {
          is_mine = form.acquire(side);
          if (is_mine) side.release();
        });
        EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
        side.clear();
      }
      EXPECT_TRUE(is_mine) << form.name;
      EXPECT_TRUE(side.try_acquire()) << form.name;
      side.release();
    }
  });
}

TYPED_TEST_P(ALock, IsGivenUpWhenTheTimeIsOverAndNotBefore) {
  using namespace std::chrono_literals;
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    side.obstruct();
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          const auto before = std::chrono::steady_clock::now();
          EXPECT_FALSE(side.try_acquire_for(3ms));
          EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
          const auto when = std::chrono::steady_clock::now() + 2ms;
          EXPECT_FALSE(side.try_acquire_until(when));
          EXPECT_GE(std::chrono::steady_clock::now(), when);
        });
      }
    }
    EXPECT_FALSE(side.try_acquire()) << "who gave up has let somebody in";
    side.clear();
    EXPECT_TRUE(side.try_acquire());
    side.release();
  });
}

TYPED_TEST_P(ALock, IsNotTakenIfTheStopWasRequestedBefore) {
  support::run_everywhere([](const support::stage&) {
    TypeParam side;
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(side.acquire(source.get_token()));
    side.obstruct();
    EXPECT_FALSE(side.acquire(source.get_token()));
    side.clear();
    EXPECT_TRUE(side.try_acquire());
    side.release();
  });
}

TYPED_TEST_P(ALock, IsGivenUpWhenAStopIsRequested) {
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    std::stop_source source;
    std::array<support::watched, 3> waiters;
    side.obstruct();
    {
      support::crew others(where);
      for (auto& waiter : waiters) {
        others.start(waiter, [&] { EXPECT_FALSE(side.acquire(source.get_token())); });
      }
      for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait());
      source.request_stop();
    }
    EXPECT_FALSE(side.try_acquire()) << "who gave up has let somebody in";
    side.clear();
    EXPECT_TRUE(side.try_acquire());
    side.release();
  });
}

TYPED_TEST_P(ALock, IsWaitedForWithoutLimitWhenTheStopSourceIsGone) {
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    support::watched waiter;
    auto source = std::make_unique<std::stop_source>();
    const std::stop_token token = source->get_token();
    source.reset();
    side.obstruct();
    support::crew others(where);
    others.start(waiter, [&] {
      EXPECT_TRUE(side.acquire(token));
      side.release();
    });
    EXPECT_TRUE(waiter.comes_to_wait());
    side.clear();
  });
}

// One who leaves from the middle of the queue must neither take others along nor cut them off.
TYPED_TEST_P(ALock, KeepsTheOtherWaitersWhenOneGivesUp) {
  support::run_everywhere([](const support::stage& where) {
    for (int leaver = 0; leaver < 3; ++leaver) {
      TypeParam side;
      std::stop_source source;
      std::array<support::watched, 3> waiters;
      std::atomic<int> served{0};
      side.obstruct();
      {
        support::crew others(where);
        for (int i = 0; i < 3; ++i) {
          auto& waiter = waiters[static_cast<std::size_t>(i)];
          others.start(waiter, [&, i] {
            if (i == leaver) {
              EXPECT_FALSE(side.acquire(source.get_token()));
            } else {
              side.acquire();
              ++served;
              side.release();
            }
          });
          EXPECT_TRUE(waiter.comes_to_wait());
        }
        source.request_stop();
        support::await([&] { return waiters[static_cast<std::size_t>(leaver)].has_left(); });
        EXPECT_EQ(served.load(), 0);
        side.clear();
      }
      EXPECT_EQ(served.load(), 2);
    }
  });
}

// Each round a stop (or the time) and the grant come at once. Whoever wins, the lock must be free afterwards, and nobody
// may be left behind: the round would not end.
TYPED_TEST_P(ALock, IsNeitherLostNorGrantedTwiceWhenAStopMeetsTheGrant) {
  constexpr int rounds = 20;
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    std::vector<std::stop_source> sources(rounds);
    support::watched waiter;
    support::start_line start(3);
    support::start_line collision(2);
    support::start_line finish(3);
    support::crew others(where);
    others.start(waiter, [&] {
      for (int i = 0; i < rounds; ++i) {
        start.wait();
        if (side.acquire(sources[static_cast<std::size_t>(i)].get_token())) side.release();
        finish.wait();
      }
    });
    others.start([&] {
      for (int i = 0; i < rounds; ++i) {
        start.wait();
        collision.wait();
        sources[static_cast<std::size_t>(i)].request_stop();
        finish.wait();
      }
    });
    for (int i = 0; i < rounds; ++i) {
      side.obstruct();
      start.wait();
      if (i % 2 == 0) support::await([&] { return waiter.waits(); });
      collision.wait();
      side.clear();
      finish.wait();
      EXPECT_TRUE(side.try_acquire()) << "round " << i;
      side.release();
    }
  });
}

TYPED_TEST_P(ALock, IsNeitherLostNorGrantedTwiceWhenTheTimeMeetsTheGrant) {
  constexpr int rounds = 20;
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    support::start_line start(2);
    support::start_line finish(2);
    support::crew others(where);
    others.start([&] {
      support::dice luck(1);
      for (int i = 0; i < rounds; ++i) {
        start.wait();
        if (side.try_acquire_for(std::chrono::microseconds(luck.roll(100)))) side.release();
        finish.wait();
      }
    });
    support::dice luck(2);
    for (int i = 0; i < rounds; ++i) {
      side.obstruct();
      start.wait();
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(luck.roll(100));
      while (std::chrono::steady_clock::now() < until) turnkey::this_goroutine::yield();
      side.clear();
      finish.wait();
      EXPECT_TRUE(side.try_acquire()) << "round " << i;
      side.release();
    }
  });
}

// Plain data goes back and forth between one who obstructs and one who acquires. ThreadSanitizer objects if either
// direction has no edge, and `is_inside` tells if the two overlap.
TYPED_TEST_P(ALock, ShowsWhatWasDoneBeforeItWasReleased) {
  constexpr int rounds = 5;
  support::run_everywhere([&](const support::stage& where) {
    auto forms = this->patient_forms();
    forms.push_back({"tried", [](TypeParam& side) { return side.try_acquire(); }});
    for (const auto& form : forms) {
      TypeParam side;
      int sent = 0;
      int seen = 0;
      bool is_inside = false;
      support::crew others(where);
      others.start([&] {
        for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
          if (!form.acquire(side)) continue;
          EXPECT_FALSE(is_inside) << form.name;
          if (seen != sent) ++seen;
          EXPECT_EQ(seen, sent) << form.name;
          is_last = seen == rounds;
          side.release();
        }
      });
      for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
        side.obstruct();
        is_inside = true;
        if (seen == sent && sent < rounds) ++sent;
        is_last = seen == rounds;
        if (sent % 3 == 0) turnkey::this_goroutine::yield();  // so that the other one comes to wait
        is_inside = false;
        side.clear();
      }
    }
  });
}

TYPED_TEST_P(ALock, MayBeReleasedByAnotherThanTookIt) {
  support::run_everywhere([](const support::stage& where) {
    TypeParam side;
    for (int i = 0; i < 10; ++i) {
      side.acquire();
      {
        support::crew others(where);
        others.start([&] { side.release(); });
        others.start([&] {
          side.obstruct();
          side.clear();
        });
      }
      EXPECT_TRUE(side.try_acquire());
      {
        support::crew others(where);
        others.start([&] { side.release(); });
      }
    }
  });
}

// The next owner ends the lock's life while the release that let it in may still be on its way out.
TYPED_TEST_P(ALock, MayBeDestroyedByItsNextOwner) {
  support::run_everywhere([](const support::stage& where) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<TypeParam> side;
      support::watched waiter;
      support::crew others(where);
      side->obstruct();
      others.start(waiter, [&] {
        side->acquire();
        side->release();
        side.end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      side->clear();
      others.join();
    }
  });
}

TYPED_TEST_P(ALock, MayBeDestroyedByItsNextOwnerWhoHadALimit) {
  using namespace std::chrono_literals;
  support::run_everywhere([](const support::stage& where) {
    const std::stop_source source;
    for (int i = 0; i < 40; ++i) {
      support::mortal<TypeParam> side;
      support::watched waiter;
      support::crew others(where);
      side->obstruct();
      others.start(waiter, [&] {
        EXPECT_TRUE(i % 4 < 2 ? side->try_acquire_for(1h) : side->acquire(source.get_token()));
        side->release();
        side.end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      side->clear();
      others.join();
    }
  });
}

REGISTER_TYPED_TEST_SUITE_P(ALock, IsTriedSuccessfullyExactlyWhileItIsFree, IsTriedOnceWhenTheTimeIsOver,
                            IsTakenByEveryFormWhenItIsFree, IsGrantedToWhoeverWaitsForIt,
                            IsGivenUpWhenTheTimeIsOverAndNotBefore, IsNotTakenIfTheStopWasRequestedBefore,
                            IsGivenUpWhenAStopIsRequested, IsWaitedForWithoutLimitWhenTheStopSourceIsGone,
                            KeepsTheOtherWaitersWhenOneGivesUp, IsNeitherLostNorGrantedTwiceWhenAStopMeetsTheGrant,
                            IsNeitherLostNorGrantedTwiceWhenTheTimeMeetsTheGrant, ShowsWhatWasDoneBeforeItWasReleased,
                            MayBeReleasedByAnotherThanTookIt, MayBeDestroyedByItsNextOwner,
                            MayBeDestroyedByItsNextOwnerWhoHadALimit);
