// What mutex, both sides of rw_mutex and its reader view have in common, as tests over a "side": how one takes the lock,
// and somebody else who is in the way.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <ostream>
#include <ratio>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"

namespace {

// --- the sides --------------------------------------------------------------------------------------------------------

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

struct a_holder_behind_a_holder : acquires_by_lock<turnkey::mutex> {
  a_holder_behind_a_holder() : acquires_by_lock(mu) {}
  void obstruct() { mu.lock(); }
  void clear() { mu.unlock(); }
  turnkey::mutex mu;
};

struct acquires_by_lock_shared {
  void acquire() { mu.lock_shared(); }
  bool acquire(std::stop_token token) { return mu.lock_shared(std::move(token)); }
  bool try_acquire() { return mu.try_lock_shared(); }
  template <class Duration>
  bool try_acquire_for(const Duration& period) {
    return mu.try_lock_shared_for(period);
  }
  template <class TimePoint>
  bool try_acquire_until(const TimePoint& when) {
    return mu.try_lock_shared_until(when);
  }
  void release() { mu.unlock_shared(); }
  turnkey::rw_mutex mu;
};

struct a_writer_behind_a_writer : acquires_by_lock<turnkey::rw_mutex> {
  a_writer_behind_a_writer() : acquires_by_lock(mu) {}
  void obstruct() { mu.lock(); }
  void clear() { mu.unlock(); }
  turnkey::rw_mutex mu;
};

struct a_writer_behind_a_reader : acquires_by_lock<turnkey::rw_mutex> {
  a_writer_behind_a_reader() : acquires_by_lock(mu) {}
  void obstruct() { mu.lock_shared(); }
  void clear() { mu.unlock_shared(); }
  turnkey::rw_mutex mu;
};

struct a_reader_behind_a_writer : acquires_by_lock_shared {
  void obstruct() { mu.lock(); }
  void clear() { mu.unlock(); }
};

struct a_view_behind_a_writer : acquires_by_lock<turnkey::reader> {
  a_view_behind_a_writer() : acquires_by_lock(view), view(mu) {}
  void obstruct() { mu.lock(); }
  void clear() { mu.unlock(); }
  turnkey::rw_mutex mu;
  turnkey::reader view;
};

// --- the sides as the tests see them ----------------------------------------------------------------------------------

// The type is erased, so that the tests are compiled once and not for each side.
class side {
 public:
  side() = default;
  side(const side&) = delete;
  side& operator=(const side&) = delete;
  virtual ~side() = default;

  // Keep others from acquiring it, and no longer.
  virtual void obstruct() = 0;
  virtual void clear() = 0;

  virtual void acquire() = 0;
  virtual bool acquire(std::stop_token token) = 0;
  virtual bool try_acquire() = 0;
  virtual bool try_acquire_for(std::chrono::nanoseconds period) = 0;
  virtual bool try_acquire_until(std::chrono::steady_clock::time_point when) = 0;
  virtual void release() = 0;

  // Ends the life of the lock; that of this object goes on, and finds out who touches the lock afterwards. At most once.
  virtual void end() = 0;
};

template <class Side>
class erased final : public side {
 public:
  ~erased() override {
    if (!has_ended_) real_.end();
  }
  void obstruct() override { real_->obstruct(); }
  void clear() override { real_->clear(); }
  void acquire() override { real_->acquire(); }
  bool acquire(std::stop_token token) override { return real_->acquire(std::move(token)); }
  bool try_acquire() override { return real_->try_acquire(); }
  bool try_acquire_for(std::chrono::nanoseconds period) override { return real_->try_acquire_for(period); }
  bool try_acquire_until(std::chrono::steady_clock::time_point when) override { return real_->try_acquire_until(when); }
  void release() override { real_->release(); }
  void end() override {
    real_.end();
    has_ended_ = true;
  }
  [[nodiscard]] Side& real() const { return *real_; }

 private:
  support::mortal<Side> real_;
  bool has_ended_ = false;
};

// A way to acquire a side, by what its own type offers.
struct form {
  const char* name;
  bool (*acquire)(side&);
};

template <class Side>
Side& real(side& it) {
  return static_cast<erased<Side>&>(it).real();
}

using steady = std::chrono::steady_clock;
using system = std::chrono::system_clock;
using far = std::chrono::duration<double, std::ratio<3600>>;

std::stop_token token_that_nobody_stops() {
  static const std::stop_source nobody_asks;
  return nobody_asks.get_token();
}

// The forms that end only by getting the lock.
template <class Side>
std::vector<form> patient_forms() {
  using std::chrono::hours;
  return {
      {"untimed", [](side& it) { return real<Side>(it).acquire(), true; }},
      {"for an hour", [](side& it) { return real<Side>(it).try_acquire_for(hours(1)); }},
      {"for the longest time in hours", [](side& it) { return real<Side>(it).try_acquire_for(hours::max()); }},
      {"for the longest time in nanoseconds",
       [](side& it) { return real<Side>(it).try_acquire_for(std::chrono::nanoseconds::max()); }},
      {"for infinitely many hours",
       [](side& it) { return real<Side>(it).try_acquire_for(far(std::numeric_limits<double>::infinity())); }},
      {"until an hour from now", [](side& it) { return real<Side>(it).try_acquire_until(steady::now() + hours(1)); }},
      {"until the end of the steady clock",
       [](side& it) { return real<Side>(it).try_acquire_until(steady::time_point::max()); }},
      {"until an hour from now by the wall clock",
       [](side& it) { return real<Side>(it).try_acquire_until(system::now() + hours(1)); }},
      {"until the end of the wall clock",
       [](side& it) { return real<Side>(it).try_acquire_until(system::time_point::max()); }},
      {"with a token that can never be stopped", [](side& it) { return real<Side>(it).acquire(std::stop_token()); }},
      {"with a token that nobody stops", [](side& it) { return real<Side>(it).acquire(token_that_nobody_stops()); }},
  };
}

// The forms whose time is over when they start.
template <class Side>
std::vector<form> late_forms() {
  using namespace std::chrono_literals;
  return {
      {"for no time", [](side& it) { return real<Side>(it).try_acquire_for(0s); }},
      {"for a negative time", [](side& it) { return real<Side>(it).try_acquire_for(-1h); }},
      {"for the most negative time",
       [](side& it) { return real<Side>(it).try_acquire_for(std::chrono::hours::min()); }},
      {"for minus infinity",
       [](side& it) { return real<Side>(it).try_acquire_for(far(-std::numeric_limits<double>::infinity())); }},
      {"until now", [](side& it) { return real<Side>(it).try_acquire_until(steady::now()); }},
      {"until an hour ago by the wall clock",
       [](side& it) { return real<Side>(it).try_acquire_until(system::now() - 1h); }},
      {"until before the steady clock began",
       [](side& it) { return real<Side>(it).try_acquire_until(steady::time_point::min()); }},
      {"until before the wall clock began",
       [](side& it) { return real<Side>(it).try_acquire_until(system::time_point::min()); }},
  };
}

struct kind_of_side {
  const char* name;
  std::unique_ptr<side> (*make)();
  std::vector<form> (*patient_forms)();
  std::vector<form> (*late_forms)();
};

std::ostream& operator<<(std::ostream& out, const kind_of_side& kind) { return out << kind.name; }

template <class Side>
kind_of_side kind(const char* name) {
  return {name, []() -> std::unique_ptr<side> { return std::make_unique<erased<Side>>(); }, patient_forms<Side>,
          late_forms<Side>};
}

class ALock : public ::testing::TestWithParam<kind_of_side> {
 protected:
  static std::unique_ptr<side> make() { return GetParam().make(); }
  static std::vector<form> patient_forms() { return GetParam().patient_forms(); }
  static std::vector<form> late_forms() { return GetParam().late_forms(); }
};

std::string name_of(const ::testing::TestParamInfo<kind_of_side>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Mutex, ALock, ::testing::Values(kind<a_holder_behind_a_holder>("a_holder_behind_a_holder")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(RwMutex, ALock,
                         ::testing::Values(kind<a_writer_behind_a_writer>("a_writer_behind_a_writer"),
                                           kind<a_writer_behind_a_reader>("a_writer_behind_a_reader"),
                                           kind<a_reader_behind_a_writer>("a_reader_behind_a_writer"),
                                           kind<a_view_behind_a_writer>("a_view_behind_a_writer")),
                         name_of);

}  // namespace

// --- what they have in common -----------------------------------------------------------------------------------------

TEST_P(ALock, IsTriedSuccessfullyExactlyWhileItIsFree) {
  const std::unique_ptr<side> it = make();
  EXPECT_TRUE(it->try_acquire());
  it->release();
  it->obstruct();
  EXPECT_FALSE(it->try_acquire());
  it->clear();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(it->try_acquire()) << "a free lock was refused";
    it->release();
  }
}

TEST_P(ALock, IsTriedOnceWhenTheTimeIsOver) {
  support::run_everywhere([&](const support::stage&) {
    const std::unique_ptr<side> it = make();
    for (const auto& form : late_forms()) {
      EXPECT_TRUE(form.acquire(*it)) << form.name;
      it->release();
      it->obstruct();
      EXPECT_FALSE(form.acquire(*it)) << form.name;
      it->clear();
    }
    EXPECT_TRUE(it->try_acquire());
    it->release();
  });
}

TEST_P(ALock, IsTakenByEveryFormWhenItIsFree) {
  support::run_everywhere([&](const support::stage&) {
    const std::unique_ptr<side> it = make();
    for (const auto& form : patient_forms()) {
      EXPECT_TRUE(form.acquire(*it)) << form.name;
      it->release();
    }
    it->obstruct();
    it->clear();
  });
}

TEST_P(ALock, IsGrantedToWhoeverWaitsForIt) {
  support::run_everywhere([&](const support::stage& where) {
    for (const auto& form : patient_forms()) {
      const std::unique_ptr<side> it = make();
      support::watched waiter;
      bool is_mine = false;
      it->obstruct();
      {
        support::crew others(where);
        others.start(waiter, [&] {
          is_mine = form.acquire(*it);
          if (is_mine) it->release();
        });
        EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
        it->clear();
      }
      EXPECT_TRUE(is_mine) << form.name;
      EXPECT_TRUE(it->try_acquire()) << form.name;
      it->release();
    }
  });
}

TEST_P(ALock, IsGivenUpWhenTheTimeIsOverAndNotBefore) {
  using namespace std::chrono_literals;
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    it->obstruct();
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          const auto before = std::chrono::steady_clock::now();
          EXPECT_FALSE(it->try_acquire_for(3ms));
          EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
          const auto when = std::chrono::steady_clock::now() + 2ms;
          EXPECT_FALSE(it->try_acquire_until(when));
          EXPECT_GE(std::chrono::steady_clock::now(), when);
        });
      }
    }
    EXPECT_FALSE(it->try_acquire()) << "who gave up has let somebody in";
    it->clear();
    EXPECT_TRUE(it->try_acquire());
    it->release();
  });
}

TEST_P(ALock, IsNotTakenIfTheStopWasRequestedBefore) {
  support::run_everywhere([&](const support::stage&) {
    const std::unique_ptr<side> it = make();
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(it->acquire(source.get_token()));
    it->obstruct();
    EXPECT_FALSE(it->acquire(source.get_token()));
    it->clear();
    EXPECT_TRUE(it->try_acquire());
    it->release();
  });
}

TEST_P(ALock, IsGivenUpWhenAStopIsRequested) {
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    std::stop_source source;
    std::array<support::watched, 3> waiters;
    it->obstruct();
    {
      support::crew others(where);
      for (auto& waiter : waiters) {
        others.start(waiter, [&] { EXPECT_FALSE(it->acquire(source.get_token())); });
      }
      for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait());
      source.request_stop();
    }
    EXPECT_FALSE(it->try_acquire()) << "who gave up has let somebody in";
    it->clear();
    EXPECT_TRUE(it->try_acquire());
    it->release();
  });
}

TEST_P(ALock, IsWaitedForWithoutLimitWhenTheStopSourceIsGone) {
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    support::watched waiter;
    auto source = std::make_unique<std::stop_source>();
    const std::stop_token token = source->get_token();
    source.reset();
    it->obstruct();
    support::crew others(where);
    others.start(waiter, [&] {
      EXPECT_TRUE(it->acquire(token));
      it->release();
    });
    EXPECT_TRUE(waiter.comes_to_wait());
    it->clear();
  });
}

// One who leaves from the middle of the queue must neither take others along nor cut them off.
TEST_P(ALock, KeepsTheOtherWaitersWhenOneGivesUp) {
  support::run_everywhere([&](const support::stage& where) {
    for (int leaver = 0; leaver < 3; ++leaver) {
      const std::unique_ptr<side> it = make();
      std::stop_source source;
      std::array<support::watched, 3> waiters;
      std::atomic<int> served{0};
      it->obstruct();
      {
        support::crew others(where);
        for (int i = 0; i < 3; ++i) {
          auto& waiter = waiters[static_cast<std::size_t>(i)];
          others.start(waiter, [&, i] {
            if (i == leaver) {
              EXPECT_FALSE(it->acquire(source.get_token()));
            } else {
              it->acquire();
              ++served;
              it->release();
            }
          });
          EXPECT_TRUE(waiter.comes_to_wait());
        }
        source.request_stop();
        support::await([&] { return waiters[static_cast<std::size_t>(leaver)].has_left(); });
        EXPECT_EQ(served.load(), 0);
        it->clear();
      }
      EXPECT_EQ(served.load(), 2);
    }
  });
}

// Each round a stop (or the time) and the grant come at once. Whoever wins, the lock must be free afterwards, and nobody
// may be left behind: the round would not end.
TEST_P(ALock, IsNeitherLostNorGrantedTwiceWhenAStopMeetsTheGrant) {
  constexpr int rounds = 20;
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    std::vector<std::stop_source> sources(rounds);
    support::watched waiter;
    support::start_line start(3);
    support::start_line collision(2);
    support::start_line finish(3);
    support::crew others(where);
    others.start(waiter, [&] {
      for (int i = 0; i < rounds; ++i) {
        start.wait();
        if (it->acquire(sources[static_cast<std::size_t>(i)].get_token())) it->release();
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
      it->obstruct();
      start.wait();
      if (i % 2 == 0) support::await([&] { return waiter.waits(); });
      collision.wait();
      it->clear();
      finish.wait();
      EXPECT_TRUE(it->try_acquire()) << "round " << i;
      it->release();
    }
  });
}

TEST_P(ALock, IsNeitherLostNorGrantedTwiceWhenTheTimeMeetsTheGrant) {
  constexpr int rounds = 20;
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    support::start_line start(2);
    support::start_line finish(2);
    support::crew others(where);
    others.start([&] {
      support::dice luck(1);
      for (int i = 0; i < rounds; ++i) {
        start.wait();
        if (it->try_acquire_for(std::chrono::microseconds(luck.roll(100)))) it->release();
        finish.wait();
      }
    });
    support::dice luck(2);
    for (int i = 0; i < rounds; ++i) {
      it->obstruct();
      start.wait();
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(luck.roll(100));
      while (std::chrono::steady_clock::now() < until) turnkey::this_goroutine::yield();
      it->clear();
      finish.wait();
      EXPECT_TRUE(it->try_acquire()) << "round " << i;
      it->release();
    }
  });
}

// Plain data goes back and forth between one who obstructs and one who acquires. ThreadSanitizer objects if either
// direction has no edge, and `is_inside` tells if the two overlap.
TEST_P(ALock, ShowsWhatWasDoneBeforeItWasReleased) {
  constexpr int rounds = 5;
  support::run_everywhere([&](const support::stage& where) {
    auto forms = patient_forms();
    forms.push_back({"tried", [](side& it) { return it.try_acquire(); }});
    for (const auto& form : forms) {
      const std::unique_ptr<side> it = make();
      int sent = 0;
      int seen = 0;
      bool is_inside = false;
      support::crew others(where);
      others.start([&] {
        for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
          if (!form.acquire(*it)) continue;
          EXPECT_FALSE(is_inside) << form.name;
          if (seen != sent) ++seen;
          EXPECT_EQ(seen, sent) << form.name;
          is_last = seen == rounds;
          it->release();
        }
      });
      for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
        it->obstruct();
        is_inside = true;
        if (seen == sent && sent < rounds) ++sent;
        is_last = seen == rounds;
        if (sent % 3 == 0) turnkey::this_goroutine::yield();  // so that the other one comes to wait
        is_inside = false;
        it->clear();
      }
    }
  });
}

TEST_P(ALock, MayBeReleasedByAnotherThanTookIt) {
  support::run_everywhere([&](const support::stage& where) {
    const std::unique_ptr<side> it = make();
    for (int i = 0; i < 10; ++i) {
      it->acquire();
      {
        support::crew others(where);
        others.start([&] { it->release(); });
        others.start([&] {
          it->obstruct();
          it->clear();
        });
      }
      EXPECT_TRUE(it->try_acquire());
      {
        support::crew others(where);
        others.start([&] { it->release(); });
      }
    }
  });
}

// The next owner ends the lock's life while the release that let it in may still be on its way out.
TEST_P(ALock, MayBeDestroyedByItsNextOwner) {
  support::run_everywhere([&](const support::stage& where) {
    for (int i = 0; i < 40; ++i) {
      const std::unique_ptr<side> it = make();
      support::watched waiter;
      support::crew others(where);
      it->obstruct();
      others.start(waiter, [&] {
        it->acquire();
        it->release();
        it->end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      it->clear();
      others.join();
    }
  });
}

TEST_P(ALock, MayBeDestroyedByItsNextOwnerWhoHadALimit) {
  using namespace std::chrono_literals;
  support::run_everywhere([&](const support::stage& where) {
    const std::stop_source source;
    for (int i = 0; i < 40; ++i) {
      const std::unique_ptr<side> it = make();
      support::watched waiter;
      support::crew others(where);
      it->obstruct();
      others.start(waiter, [&] {
        EXPECT_TRUE(i % 4 < 2 ? it->try_acquire_for(1h) : it->acquire(source.get_token()));
        it->release();
        it->end();
      });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      it->clear();
      others.join();
    }
  });
}
