#include <turnkey/condition_variable.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <vector>

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

static_assert(support::stays_where_it_is<turnkey::condition_variable>);
static_assert(std::is_nothrow_default_constructible_v<turnkey::condition_variable>);

namespace {

constinit turnkey::condition_variable static_condition;

using guard = std::unique_lock<turnkey::mutex>;

// The forms that end only by a notify, without a predicate.
struct waiting_form {
  const char* name;
  std::function<bool(turnkey::condition_variable&, guard&)> wait;  // true: notified
};

std::vector<waiting_form> patient_forms() {
  using turnkey::condition_variable;
  constexpr auto notified = std::cv_status::no_timeout;
  return {
      {"untimed", [](condition_variable& cv, guard& hold) { return cv.wait(hold), true; }},
      {"for an hour", [](condition_variable& cv, guard& hold) { return cv.wait_for(hold, 1h) == notified; }},
      {"for the longest time",
       [](condition_variable& cv, guard& hold) { return cv.wait_for(hold, std::chrono::hours::max()) == notified; }},
      {"until an hour from now by the wall clock",
       [](condition_variable& cv, guard& hold) {
         return cv.wait_until(hold, std::chrono::system_clock::now() + 1h) == notified;
       }},
      {"until the end of the steady clock",
       [](condition_variable& cv, guard& hold) {
         return cv.wait_until(hold, std::chrono::steady_clock::time_point::max()) == notified;
       }},
  };
}

// The forms with a predicate, none of whose limits comes.
struct predicate_form {
  const char* name;
  std::function<bool(turnkey::condition_variable&, guard&, const std::function<bool()>&)> wait;
};

std::vector<predicate_form> patient_predicate_forms() {
  using turnkey::condition_variable;
  using pred = const std::function<bool()>&;
  static const std::stop_source nobody_asks;
  return {
      {"untimed", [](condition_variable& cv, guard& hold, pred p) { return cv.wait(hold, p), true; }},
      {"for the longest time",
       [](condition_variable& cv, guard& hold, pred p) { return cv.wait_for(hold, std::chrono::hours::max(), p); }},
      {"until an hour from now by the wall clock",
       [](condition_variable& cv, guard& hold, pred p) {
         return cv.wait_until(hold, std::chrono::system_clock::now() + 1h, p);
       }},
      {"with a token that can never be stopped",
       [](condition_variable& cv, guard& hold, pred p) { return cv.wait(hold, std::stop_token(), p); }},
      {"with a token that nobody stops",
       [](condition_variable& cv, guard& hold, pred p) { return cv.wait(hold, nobody_asks.get_token(), p); }},
      {"for an hour with a token",
       [](condition_variable& cv, guard& hold, pred p) { return cv.wait_for(hold, nobody_asks.get_token(), 1h, p); }},
      {"until an hour from now with a token",
       [](condition_variable& cv, guard& hold, pred p) {
         return cv.wait_until(hold, nobody_asks.get_token(), std::chrono::steady_clock::now() + 1h, p);
       }},
  };
}

bool is_free(turnkey::mutex& mu) {
  const bool could = mu.try_lock();
  if (could) mu.unlock();
  return could;
}

}  // namespace

TEST(ConditionVariable, IsReadyBeforeAnyConstructorRuns) {
  turnkey::mutex mu;
  std::unique_lock hold(mu);
  static_condition.notify_all();
  EXPECT_EQ(static_condition.wait_for(hold, 0s), std::cv_status::timeout);
}

TEST(ConditionVariable, DoesNotRememberANotifyThatFoundNobody) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    changed.notify_one();
    changed.notify_all();
    std::unique_lock hold(mu);
    EXPECT_EQ(changed.wait_for(hold, 1us), std::cv_status::timeout);
    changed.notify_one();
    EXPECT_EQ(changed.wait_for(hold, 1us), std::cv_status::timeout);
  });
}

TEST(ConditionVariable, GivesUpTheLockWhileItWaitsAndTakesItBack) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      turnkey::mutex mu;
      turnkey::condition_variable changed;
      support::watched waiter;
      bool is_back = false;
      {
        support::crew others(where);
        others.start(waiter, [&] {
          guard hold(mu);
          EXPECT_TRUE(form.wait(changed, hold)) << form.name;
          EXPECT_TRUE(hold.owns_lock()) << form.name;
          EXPECT_FALSE(is_free(mu)) << form.name;
          is_back = true;
        });
        EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
        const std::scoped_lock hold(mu);  // would wait for ever if the waiter had kept it
        changed.notify_one();
        for (int i = 0; i < 20; ++i) turnkey::this_goroutine::yield();
        EXPECT_FALSE(is_back) << form.name << " came back without the lock";
      }
      EXPECT_TRUE(is_back) << form.name;
      EXPECT_TRUE(is_free(mu)) << form.name;
    }
  });
}

TEST(ConditionVariable, WaitsUntilThePredicateIsTrue) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_predicate_forms()) {
      turnkey::mutex mu;
      turnkey::condition_variable changed;
      support::watched waiter;
      int data = 0;
      int asked = 0;
      support::crew others(where);
      others.start(waiter, [&] {
        guard hold(mu);
        EXPECT_TRUE(form.wait(changed, hold, [&] { return ++asked, data == 2; })) << form.name;
        EXPECT_EQ(data, 2) << form.name;
      });
      EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
      {
        const std::scoped_lock hold(mu);
        EXPECT_EQ(asked, 1) << form.name << ": nobody has notified yet";
        data = 1;
        changed.notify_one();
      }
      for (bool has_asked_again = false; !has_asked_again; turnkey::this_goroutine::yield()) {
        const std::scoped_lock hold(mu);
        has_asked_again = asked == 2;
      }
      EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
      {
        const std::scoped_lock hold(mu);
        data = 2;
      }
      changed.notify_one();
    }
  });
}

TEST(ConditionVariable, DoesNotWaitIfThePredicateIsTrueAlready) {
  turnkey::mutex mu;
  turnkey::condition_variable changed;
  std::unique_lock hold(mu);
  for (const auto& form : patient_predicate_forms()) {
    int asked = 0;
    EXPECT_TRUE(form.wait(changed, hold, [&] { return ++asked, true; })) << form.name;
    EXPECT_EQ(asked, 1) << form.name;
  }
}

TEST(ConditionVariable, EndsAWaitWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    support::crew others(where);
    for (int i = 0; i < 3; ++i) {
      others.start([&] {
        guard hold(mu);
        const auto before = std::chrono::steady_clock::now();
        EXPECT_EQ(changed.wait_for(hold, 2ms), std::cv_status::timeout);
        EXPECT_GE(std::chrono::steady_clock::now() - before, 2ms);
        EXPECT_TRUE(hold.owns_lock());
        EXPECT_FALSE(is_free(mu));
        const auto when = std::chrono::steady_clock::now() + 2ms;
        EXPECT_EQ(changed.wait_until(hold, when), std::cv_status::timeout);
        EXPECT_GE(std::chrono::steady_clock::now(), when);
        EXPECT_EQ(changed.wait_for(hold, -1h), std::cv_status::timeout);
        EXPECT_EQ(changed.wait_for(hold, std::chrono::hours::min()), std::cv_status::timeout);
        EXPECT_EQ(changed.wait_until(hold, std::chrono::system_clock::now() - 1h), std::cv_status::timeout);
        EXPECT_FALSE(is_free(mu));
      });
    }
  });
}

TEST(ConditionVariable, SaysWhatThePredicateSaysWhenTheTimeIsOver) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    const std::stop_source source;
    std::unique_lock hold(mu);
    for (const bool ends_true : {false, true}) {
      int asked = 0;
      const auto pred = [&] {
        EXPECT_FALSE(is_free(mu)) << "asked without the lock";
        return ++asked > 1 && ends_true;
      };
      EXPECT_EQ(changed.wait_for(hold, 1us, pred), ends_true);
      asked = 0;
      EXPECT_EQ(changed.wait_until(hold, std::chrono::steady_clock::now() - 1h, pred), ends_true);
      asked = 0;
      EXPECT_EQ(changed.wait_for(hold, source.get_token(), 1us, pred), ends_true);
      asked = 0;
      EXPECT_EQ(changed.wait_until(hold, source.get_token(), std::chrono::system_clock::now() - 1h, pred), ends_true);
    }
  });
}

TEST(ConditionVariable, DoesNotWaitIfTheStopWasRequestedBefore) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    std::stop_source source;
    source.request_stop();
    std::unique_lock hold(mu);
    EXPECT_FALSE(changed.wait(hold, source.get_token(), [] { return false; }));
    EXPECT_FALSE(changed.wait_for(hold, source.get_token(), 1h, [] { return false; }));
    EXPECT_TRUE(changed.wait(hold, source.get_token(), [] { return true; }));
    EXPECT_FALSE(is_free(mu));
  });
}

TEST(ConditionVariable, EndsAWaitWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    std::stop_source source;
    std::array<support::watched, 3> stopped;
    support::watched patient;
    bool is_over = false;
    support::crew others(where);
    for (std::size_t i = 0; i < stopped.size(); ++i) {
      others.start(stopped[i], [&, i] {
        std::unique_lock hold(mu);
        const auto pred = [] { return false; };
        if (i == 0) {
          EXPECT_FALSE(changed.wait(hold, source.get_token(), pred));
        } else if (i == 1) {
          EXPECT_FALSE(changed.wait_for(hold, source.get_token(), 1h, pred));
        } else {
          EXPECT_FALSE(changed.wait_until(hold, source.get_token(), std::chrono::system_clock::now() + 1h, pred));
        }
        EXPECT_TRUE(hold.owns_lock());
        EXPECT_FALSE(is_free(mu));
      });
      EXPECT_TRUE(stopped[i].comes_to_wait());
    }
    others.start(patient, [&] {
      std::unique_lock hold(mu);
      changed.wait(hold, [&] { return is_over; });
    });
    EXPECT_TRUE(patient.comes_to_wait());
    source.request_stop();
    for (auto& each : stopped) support::await([&] { return each.has_left(); });
    EXPECT_TRUE(patient.waits());
    const std::scoped_lock hold(mu);
    is_over = true;
    changed.notify_one();
  });
}

TEST(ConditionVariable, WakesThoseWhoWaitInTheOrderInWhichTheyCame) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t count = 12;
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    std::array<support::watched, count> waiters;
    std::vector<std::size_t> woken;
    support::crew others(where);
    for (std::size_t i = 0; i < count; ++i) {
      others.start(waiters[i], [&, i] {
        guard hold(mu);
        changed.wait(hold);
        woken.push_back(i);
      });
      EXPECT_TRUE(waiters[i].comes_to_wait());
    }
    for (std::size_t i = 0; i < count; ++i) {
      changed.notify_one();
      support::await([&] { return waiters[i].has_left(); });
      const std::scoped_lock hold(mu);
      ASSERT_EQ(woken.size(), i + 1) << "one notify, one waiter";
      ASSERT_EQ(woken.back(), i);
    }
  });
}

TEST(ConditionVariable, WakesAllWhoWaitAndNobodyWhoComesLater) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    std::array<support::watched, 10> early;
    support::watched late;
    bool late_has_come = false;
    support::crew others(where);
    for (auto& waiter : early) {
      others.start(waiter, [&] {
        guard hold(mu);
        changed.wait(hold);
      });
      EXPECT_TRUE(waiter.comes_to_wait());
    }
    {
      // Nobody gets out of his wait while the lock is held here, so the late one comes while they are all on their way.
      guard hold(mu);
      changed.notify_all();
      others.start(late, [&] {
        guard mine(mu);
        late_has_come = true;
        changed.wait(mine);
      });
    }
    for (auto& waiter : early) support::await([&] { return waiter.has_left(); });
    for (bool waits = false; !waits; turnkey::this_goroutine::yield()) {
      guard hold(mu);
      waits = late_has_come;  // and has given the lock up again
    }
    for (int i = 0; i < 20; ++i) turnkey::this_goroutine::yield();
    EXPECT_FALSE(late.has_left());
    changed.notify_one();
  });
}

// A waiter whose time is over just as it would be notified either takes the notify and says so, or leaves it to the
// next one. In no case is the notify lost, in no case does it wake two.
TEST(ConditionVariable, PassesANotifyThatATimeoutMissedToTheNext) {
  support::run_everywhere([](const stage& where) {
    constexpr int rounds = 40;
    turnkey::condition_variable changed;
    support::dice luck(4);
    for (int round = 0; round < rounds; ++round) {
      support::watched patient;
      support::watched hasty;
      std::atomic<bool> hasty_took_it{false};
      const auto patience = std::chrono::microseconds(luck.roll(80));
      support::crew others(where);
      others.start(hasty, [&] {
        turnkey::mutex mine;
        guard hold(mine);
        hasty_took_it = changed.wait_for(hold, patience) == std::cv_status::no_timeout;
      });
      support::await([&] { return hasty.waits() || hasty.has_left(); });
      others.start(patient, [&] {
        turnkey::mutex mine;
        guard hold(mine);
        changed.wait(hold);
      });
      EXPECT_TRUE(patient.comes_to_wait());
      changed.notify_one();
      support::await([&] { return hasty.has_left(); });
      if (hasty_took_it) {
        EXPECT_TRUE(patient.waits()) << "one notify has woken two";
        changed.notify_one();
      }
      others.join();  // for ever, if the notify was lost
    }
  });
}

TEST(ConditionVariable, NotifiesOneAfterTheOtherWhileOthersAreStopped) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t rounds = 30;
    turnkey::condition_variable changed;
    turnkey::mutex mu;
    for (std::size_t round = 0; round < rounds; ++round) {
      std::stop_source source;
      std::array<support::watched, 3> waiters;
      int tokens = 0;
      int taken = 0;
      support::crew others(where);
      for (std::size_t i = 0; i < waiters.size(); ++i) {
        others.start(waiters[i], [&, i] {
          guard hold(mu);
          const auto pred = [&] { return tokens > 0; };
          if (i == round % 3) {
            if (!changed.wait(hold, source.get_token(), pred)) return;
          } else {
            changed.wait(hold, pred);
          }
          --tokens;
          ++taken;
          if (tokens > 0) changed.notify_one();
        });
        if (round % 2 == 0) {
          EXPECT_TRUE(waiters[i].comes_to_wait());
        }
      }
      others.start([&] { source.request_stop(); });
      for (int i = 0; i < 3; ++i) {
        const std::scoped_lock hold(mu);
        ++tokens;
        changed.notify_one();
      }
      others.join();
      EXPECT_GE(taken, 2);
      EXPECT_EQ(taken + tokens, 3);
    }
  });
}

// The lock belongs to the waiter alone, so only the notify can order the data.
TEST(ConditionVariable, ShowsTheWaiterWhatWasDoneBeforeTheNotify) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      for (const bool notify_all : {false, true}) {
        constexpr int rounds = 20;
        turnkey::condition_variable changed;
        support::watched waiter;
        std::atomic<int> seen{0};
        int data = 0;
        support::crew others(where);
        others.start(waiter, [&] {
          turnkey::mutex mu;
          guard hold(mu);
          for (int round = 1; round <= rounds; ++round) {
            EXPECT_TRUE(form.wait(changed, hold)) << form.name;
            EXPECT_EQ(data, round) << form.name;
            seen.store(round, std::memory_order_release);
          }
        });
        for (int round = 1; round <= rounds; ++round) {
          support::await([&] { return seen.load(std::memory_order_acquire) == round - 1; });
          EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
          data = round;
          notify_all ? changed.notify_all() : changed.notify_one();
        }
      }
    }
  });
}

TEST(ConditionVariable, MayBeDestroyedAsSoonAsEveryWaitHasReturned) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<turnkey::condition_variable> changed;
      std::array<support::watched, 2> waiters;
      std::atomic<int> inside{2};
      support::crew others(where);
      for (auto& waiter : waiters) {
        others.start(waiter, [&] {
          turnkey::mutex mine;
          guard hold(mine);
          if (i % 3 == 0) {
            EXPECT_EQ(changed->wait_for(hold, 1h), std::cv_status::no_timeout);
          } else {
            changed->wait(hold);
          }
          if (--inside == 0) changed.end();
        });
      }
      for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait());
      if (i % 2 == 0) {
        changed->notify_all();
      } else {
        changed->notify_one();
        changed->notify_one();
      }
      others.join();
    }
  });
}

template <class Lock>
class AConditionVariableWith : public ::testing::Test {};

namespace {

// The least that a BasicLockable is.
class spin_lock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) turnkey::this_goroutine::yield();
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_;
};

using locks = ::testing::Types<turnkey::mutex, turnkey::rw_mutex, std::mutex, spin_lock>;

}  // namespace

TYPED_TEST_SUITE(AConditionVariableWith, locks);

// The lock itself is what is given up, no guard.
TYPED_TEST(AConditionVariableWith, AnyBasicLockableHandsOverWork) {
  support::run_everywhere([](const stage& where) {
    TypeParam mu;
    turnkey::condition_variable changed;
    int ready = 0;
    int taken = 0;
    support::crew others(where);
    others.start([&] {
      for (int i = 0; i < 20; ++i) {
        mu.lock();
        changed.wait(mu, [&] { return ready > taken; });
        ++taken;
        mu.unlock();
        changed.notify_all();
      }
    });
    for (int i = 0; i < 20; ++i) {
      mu.lock();
      ++ready;
      changed.notify_all();
      EXPECT_TRUE(changed.wait_for(mu, 1h, [&] { return taken == ready; }));
      mu.unlock();
    }
  });
}

TEST(ConditionVariable, WorksWithAReadLock) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    turnkey::condition_variable changed;
    std::array<support::watched, 3> readers;
    int data = 0;
    support::crew others(where);
    for (auto& reader : readers) {
      others.start(reader, [&] {
        std::shared_lock look(mu);
        changed.wait(look, [&] { return data == 1; });
      });
    }
    for (auto& reader : readers) EXPECT_TRUE(reader.comes_to_wait());
    const std::scoped_lock change(mu);
    data = 1;
    changed.notify_all();
  });
}

// One who waits with a std::mutex beside one who waits with a turnkey::mutex.
TEST(ConditionVariable, ServesWaitsWithDifferentLocks) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex ours;
    std::mutex theirs;
    turnkey::condition_variable changed;
    std::array<support::watched, 2> waiters;
    support::crew others(where);
    others.start(waiters[0], [&] {
      std::unique_lock hold(ours);
      changed.wait(hold);
    });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] {
      std::unique_lock hold(theirs);
      changed.wait(hold);
    });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    changed.notify_one();
    support::await([&] { return waiters[0].has_left(); });
    EXPECT_TRUE(waiters[1].waits());
    changed.notify_one();
  });
}

TEST(ConditionVariable, KeepsTheLockWhenThePredicateThrows) {
  support::run_everywhere([](const stage&) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    {
      std::unique_lock hold(mu);
      EXPECT_THROW(changed.wait_for(hold, 1us,
                                    [asked = 0]() mutable -> bool {
                                      if (++asked == 2) throw std::runtime_error("x");
                                      return false;
                                    }),
                   std::runtime_error);
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_FALSE(is_free(mu));
    }
    EXPECT_TRUE(is_free(mu));
  });
}

// A wait in a catch handler: a goroutine that goes on elsewhere must still rethrow its own exception.
TEST(ConditionVariable, MayBeWaitedForInACatchHandler) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    std::array<support::watched, 4> waiters;
    support::crew others(where);
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      others.start(waiters[i], [&, i] {
        try {
          try {
            throw i;
          } catch (const std::size_t&) {
            guard hold(mu);
            changed.wait(hold);
            throw;
          }
        } catch (const std::size_t& mine) {
          EXPECT_EQ(mine, i);
        }
      });
      EXPECT_TRUE(waiters[i].comes_to_wait());
    }
    changed.notify_one();
    support::await([&] { return waiters[0].has_left(); });
    changed.notify_all();
  });
}
