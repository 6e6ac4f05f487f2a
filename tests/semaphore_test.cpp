#include <turnkey/semaphore.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::semaphore;

static_assert(support::stays_where_it_is<semaphore>);
static_assert(!std::is_default_constructible_v<semaphore>);
static_assert(!std::is_convertible_v<std::ptrdiff_t, semaphore>);
static_assert(semaphore::max() >= 1'000'000'000);

namespace {

constinit semaphore static_semaphore(2);

// Exactly k tokens are there, and nobody waits.
testing::AssertionResult has_tokens(semaphore& tokens, std::ptrdiff_t k) {
  if (!tokens.try_acquire(k)) return testing::AssertionFailure() << "fewer than " << k;
  const bool has_more = tokens.try_acquire();
  tokens.release(has_more ? k + 1 : k);
  if (has_more) return testing::AssertionFailure() << "more than " << k;
  return testing::AssertionSuccess();
}

struct acquiring_form {
  const char* name;
  std::function<bool(semaphore&, std::ptrdiff_t)> acquire;
};

// The forms that end only by getting their tokens.
std::vector<acquiring_form> patient_forms() {
  static const std::stop_source nobody_asks;
  return {
      {"untimed", [](semaphore& s, std::ptrdiff_t k) { return s.acquire(k), true; }},
      {"for an hour", [](semaphore& s, std::ptrdiff_t k) { return s.try_acquire_for(1h, k); }},
      {"for the longest time",
       [](semaphore& s, std::ptrdiff_t k) { return s.try_acquire_for(std::chrono::hours::max(), k); }},
      {"until the end of the steady clock",
       [](semaphore& s, std::ptrdiff_t k) {
         return s.try_acquire_until(std::chrono::steady_clock::time_point::max(), k);
       }},
      {"until an hour from now by the wall clock",
       [](semaphore& s, std::ptrdiff_t k) { return s.try_acquire_until(std::chrono::system_clock::now() + 1h, k); }},
      {"with a token that can never be stopped",
       [](semaphore& s, std::ptrdiff_t k) { return s.acquire(std::stop_token(), k); }},
      {"with a token that nobody stops",
       [](semaphore& s, std::ptrdiff_t k) { return s.acquire(nobody_asks.get_token(), k); }},
  };
}

}  // namespace

TEST(Semaphore, IsReadyBeforeAnyConstructorRuns) { EXPECT_TRUE(has_tokens(static_semaphore, 2)); }

TEST(Semaphore, GivesOutAsManyTokensAsItHas) {
  support::run_everywhere([](const stage&) {
    semaphore tokens(5);
    tokens.acquire();
    tokens.acquire(2);
    EXPECT_TRUE(tokens.try_acquire(2));
    EXPECT_FALSE(tokens.try_acquire());
    tokens.release();
    EXPECT_FALSE(tokens.try_acquire(2));
    EXPECT_TRUE(tokens.try_acquire());
    tokens.release(5);
    EXPECT_TRUE(has_tokens(tokens, 5));
    for (const auto& form : patient_forms()) {
      EXPECT_TRUE(form.acquire(tokens, 5)) << form.name;
      tokens.release(3);
      EXPECT_TRUE(form.acquire(tokens, 3)) << form.name;
      tokens.release(5);
    }
    EXPECT_TRUE(has_tokens(tokens, 5));
  });
}

TEST(Semaphore, TakesNothingForARequestOfNothing) {
  semaphore tokens(1);
  tokens.acquire(0);
  EXPECT_TRUE(tokens.try_acquire(0));
  tokens.release(0);
  EXPECT_TRUE(has_tokens(tokens, 1));
}

TEST(Semaphore, HoldsAsManyTokensAsItPromises) {
  semaphore tokens(semaphore::max());
  EXPECT_TRUE(has_tokens(tokens, semaphore::max()));
  tokens.acquire(semaphore::max() - 1);
  EXPECT_TRUE(has_tokens(tokens, 1));
  tokens.release(semaphore::max() - 1);
  EXPECT_TRUE(has_tokens(tokens, semaphore::max()));
}

TEST(Semaphore, RefusesCountsThatMakeNoSense) {
  EXPECT_THROW(semaphore(-1), std::invalid_argument);
  EXPECT_THROW(semaphore(semaphore::max() + 1), std::invalid_argument);
  semaphore tokens(2);
  EXPECT_THROW(tokens.acquire(-1), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(tokens.try_acquire(-1)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(tokens.try_acquire_for(1s, -1)), std::invalid_argument);
  EXPECT_THROW(tokens.release(-1), std::invalid_argument);
  EXPECT_TRUE(has_tokens(tokens, 2));
}

TEST(Semaphore, ThrowsWhenMoreIsGivenBackThanWasTaken) {
  support::run_everywhere([](const stage&) {
    semaphore tokens(2);
    const auto words_of_release = [&](std::ptrdiff_t k) -> std::string {
      try {
        tokens.release(k);
      } catch (const std::logic_error& error) {
        return error.what();
      }
      return "no std::logic_error";
    };
    EXPECT_EQ(words_of_release(1), "semaphore: released more than held");
    tokens.acquire();
    EXPECT_EQ(words_of_release(2), "semaphore: released more than held");
    EXPECT_EQ(words_of_release(std::numeric_limits<std::ptrdiff_t>::max()), "semaphore: released more than held");
    EXPECT_TRUE(has_tokens(tokens, 1));
  });
}

TEST(Semaphore, GrantsToWhoeverWaits) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      semaphore tokens(3);
      support::watched waiter;
      tokens.acquire(3);
      {
        support::crew others(where);
        others.start(waiter, [&] { EXPECT_TRUE(form.acquire(tokens, 2)) << form.name; });
        EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
        tokens.release();
        EXPECT_TRUE(waiter.waits()) << form.name;
        tokens.release();
      }
      tokens.release();
      EXPECT_TRUE(has_tokens(tokens, 1)) << form.name;
    }
  });
}

TEST(Semaphore, GivesUpWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(2);
    tokens.acquire();
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          const auto before = std::chrono::steady_clock::now();
          EXPECT_FALSE(tokens.try_acquire_for(3ms, 2));
          EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
          const auto when = std::chrono::steady_clock::now() + 2ms;
          EXPECT_FALSE(tokens.try_acquire_until(when, 2));
          EXPECT_GE(std::chrono::steady_clock::now(), when);
        });
      }
    }
    EXPECT_TRUE(has_tokens(tokens, 1));
    tokens.release();
    EXPECT_TRUE(has_tokens(tokens, 2));
  });
}

TEST(Semaphore, TriesOnceWhenTheTimeIsOver) {
  support::run_everywhere([](const stage&) {
    semaphore tokens(1);
    EXPECT_TRUE(tokens.try_acquire_for(-1h));
    EXPECT_FALSE(tokens.try_acquire_for(-1h));
    EXPECT_FALSE(tokens.try_acquire_for(0s));
    EXPECT_FALSE(tokens.try_acquire_until(std::chrono::steady_clock::time_point::min()));
    tokens.release();
    EXPECT_TRUE(tokens.try_acquire_until(std::chrono::system_clock::now() - 1h));
    EXPECT_FALSE(tokens.try_acquire_until(std::chrono::system_clock::now() - 1h));
    tokens.release();
  });
}

TEST(Semaphore, TakesNothingIfTheStopWasRequestedBefore) {
  support::run_everywhere([](const stage&) {
    semaphore tokens(1);
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(tokens.acquire(source.get_token()));
    EXPECT_TRUE(has_tokens(tokens, 1));
  });
}

TEST(Semaphore, GivesUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(2);
    std::stop_source source;
    std::array<support::watched, 3> waiters;
    tokens.acquire();
    {
      support::crew others(where);
      for (auto& waiter : waiters) {
        others.start(waiter, [&] { EXPECT_FALSE(tokens.acquire(source.get_token(), 2)); });
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      source.request_stop();
    }
    EXPECT_TRUE(has_tokens(tokens, 1));
    tokens.release();
  });
}

TEST(Semaphore, IsFirstComeFirstServed) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t count = 10;
    semaphore tokens(1);
    std::array<support::watched, count> waiters;
    std::vector<std::size_t> served;  // guarded by the one token
    tokens.acquire();
    {
      support::crew others(where);
      for (std::size_t i = 0; i < count; ++i) {
        others.start(waiters[i], [&, i] {
          tokens.acquire();
          served.push_back(i);
          tokens.release();
        });
        EXPECT_TRUE(waiters[i].comes_to_wait());
      }
      tokens.release();
    }
    ASSERT_EQ(served.size(), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(served[i], i);
  });
}

TEST(Semaphore, HoldsBackSmallRequestsBehindABigOne) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(4);
    support::watched big;
    std::array<support::watched, 2> small;
    std::atomic<bool> big_was_served{false};
    tokens.acquire(2);
    support::crew others(where);
    others.start(big, [&] {
      tokens.acquire(4);
      big_was_served = true;
      tokens.release(4);
    });
    EXPECT_TRUE(big.comes_to_wait());
    EXPECT_FALSE(tokens.try_acquire()) << "two tokens are there, but somebody waits";
    EXPECT_FALSE(tokens.try_acquire_for(1us));
    for (auto& waiter : small) {
      others.start(waiter, [&] {
        tokens.acquire();
        EXPECT_TRUE(big_was_served);
        tokens.release();
      });
      EXPECT_TRUE(waiter.comes_to_wait());
    }
    tokens.release();
    EXPECT_TRUE(big.waits());
    EXPECT_TRUE(small[0].waits());
    tokens.release();
  });
}

TEST(Semaphore, ServesThoseBehindABigRequestThatGivesUp) {
  support::run_everywhere([](const stage& where) {
    for (const bool by_stop : {false, true}) {
      semaphore tokens(4);
      std::stop_source source;
      support::watched big;
      std::array<support::watched, 2> small;
      std::atomic<bool> may_give_up{false};
      tokens.acquire(2);
      support::crew others(where);
      others.start(big, [&] {
        if (by_stop) {
          EXPECT_FALSE(tokens.acquire(source.get_token(), 3));
        } else {
          while (!tokens.try_acquire_for(1ms, 3) && !may_give_up) {
          }
        }
      });
      EXPECT_TRUE(big.comes_to_wait());
      for (auto& waiter : small) {
        others.start(waiter, [&] { tokens.acquire(); });
        const bool has_waited = waiter.comes_to_wait();
        if (by_stop) {
          EXPECT_TRUE(has_waited);
        }
      }
      may_give_up = true;
      source.request_stop();
      others.join();
      EXPECT_TRUE(has_tokens(tokens, 0));
    }
  });
}

TEST(Semaphore, ReleasesSeveralWhoFitAtOnce) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(6);
    std::array<support::watched, 4> waiters;
    tokens.acquire(6);
    support::crew others(where);
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      others.start(waiters[i], [&, i] { tokens.acquire(static_cast<std::ptrdiff_t>(i) + 1); });  // 1, 2, 3, 4
      EXPECT_TRUE(waiters[i].comes_to_wait());
    }
    tokens.release(6);
    for (std::size_t i = 0; i < 3; ++i) support::await([&] { return waiters[i].has_left(); });
    EXPECT_TRUE(waiters[3].waits());
    tokens.release(3);
    EXPECT_TRUE(waiters[3].waits());
    tokens.release(1);
  });
}

TEST(Semaphore, HoldsNobodyBackForARequestThatNoReleaseCanMeet) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(2);
    std::stop_source source;
    support::watched giant;
    support::crew others(where);
    others.start(giant, [&] { EXPECT_FALSE(tokens.acquire(source.get_token(), 3)); });
    EXPECT_TRUE(giant.comes_to_wait());
    EXPECT_TRUE(tokens.try_acquire());
    tokens.acquire();
    EXPECT_FALSE(tokens.try_acquire_for(1ms, 3));
    EXPECT_FALSE(tokens.try_acquire(3));
    tokens.release(2);
    EXPECT_TRUE(giant.waits());
    EXPECT_TRUE(has_tokens(tokens, 2));
    source.request_stop();
    others.join();
    EXPECT_TRUE(has_tokens(tokens, 2));
  });
}

TEST(Semaphore, TakesATokenBackFromAnother) {
  support::run_everywhere([](const stage& where) {
    semaphore tokens(1);
    for (int i = 0; i < 10; ++i) {
      tokens.acquire();
      support::crew others(where);
      others.start([&] { tokens.release(); });
      tokens.acquire();
      tokens.release();
    }
  });
}

TEST(Semaphore, NeverGivesOutMoreThanItHas) {
  support::run_everywhere([](const stage& where) {
    constexpr int size = 3;
    semaphore tokens(size);
    std::atomic<int> out{0};
    {
      support::crew others(where);
      for (int i = 0; i < 5; ++i) {
        others.start([&, i] {
          support::dice luck(static_cast<std::uint64_t>(i));
          for (int done = 0; done < 150; ++done) {
            const int k = 1 + luck.roll(size);
            switch (luck.roll(3)) {
              case 0:
                if (!tokens.try_acquire(k)) {
                  turnkey::this_goroutine::yield();
                  continue;
                }
                break;
              case 1:
                if (!tokens.try_acquire_for(luck.moment(), k)) continue;
                break;
              default: tokens.acquire(k);
            }
            EXPECT_LE(out += k, size);
            luck.dawdle();
            out -= k;
            tokens.release(k);
          }
        });
      }
    }
    EXPECT_TRUE(has_tokens(tokens, size));
  });
}

TEST(Semaphore, ConservesItsTokensWhenAStopMeetsTheGrant) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t rounds = 20;
    semaphore tokens(3);
    std::vector<std::stop_source> sources(rounds);
    support::start_line start(4);
    support::start_line collision(2);
    support::start_line finish(4);
    support::watched waiter;
    support::crew others(where);
    others.start(waiter, [&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        if (tokens.acquire(sources[i].get_token(), 3)) tokens.release(3);
        finish.wait();
      }
    });
    // Behind or before the other one, it must get its token in any case.
    others.start([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        tokens.acquire();
        tokens.release();
        finish.wait();
      }
    });
    others.start([&] {
      for (std::size_t i = 0; i < rounds; ++i) {
        start.wait();
        collision.wait();
        sources[i].request_stop();
        finish.wait();
      }
    });
    for (std::size_t i = 0; i < rounds; ++i) {
      tokens.acquire(2);
      start.wait();
      if (i % 2 == 0) support::await([&] { return waiter.waits(); });
      collision.wait();
      tokens.release(2);
      finish.wait();
      EXPECT_TRUE(has_tokens(tokens, 3));
    }
  });
}

// One token passed around guards plain data.
TEST(Semaphore, ShowsWhatWasDoneBeforeTheRelease) {
  support::run_everywhere([](const stage& where) {
    auto forms = patient_forms();
    forms.push_back({"tried", [](semaphore& s, std::ptrdiff_t k) { return s.try_acquire(k); }});
    for (const auto& form : forms) {
      semaphore tokens(1);
      int sum = 0;
      {
        support::crew others(where);
        for (int i = 0; i < 3; ++i) {
          others.start([&] {
            for (int done = 0; done < 30;) {
              if (form.acquire(tokens, 1)) {
                ++sum;
                if (++done % 4 == 0) turnkey::this_goroutine::yield();
                tokens.release();
              } else {
                turnkey::this_goroutine::yield();
              }
            }
          });
        }
      }
      EXPECT_EQ(sum, 90) << form.name;
    }
  });
}

TEST(Semaphore, MayBeDestroyedAsSoonAsTheWaitHasReturned) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 40; ++i) {
      support::mortal<semaphore> tokens(2);
      support::watched waiter;
      support::crew others(where);
      tokens->acquire(2);
      others.start(waiter, [&] {
        if (i % 4 < 2) {
          tokens->acquire(2);
        } else {
          EXPECT_TRUE(tokens->try_acquire_for(1h, 2));
        }
        tokens.end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      tokens->release(2);
      others.join();
    }
  });
}
