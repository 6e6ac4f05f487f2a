#include <turnkey/guarded.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <turnkey/rw_mutex.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using turnkey::guarded;
using turnkey::rw_mutex;
using turnkey::way_out;

static_assert(support::stays_where_it_is<guarded<int>>);
static_assert(sizeof(guarded<void*>) <= sizeof(turnkey::mutex) + 2 * sizeof(void*));
static_assert(!std::copyable<guarded<int>::scope> && std::movable<guarded<int>::scope>);
static_assert(!std::is_default_constructible_v<guarded<std::reference_wrapper<int>>>);

namespace {

constinit guarded<int> static_guarded;

using map = std::map<int, std::string>;
template <class R>
constexpr way_out way = turnkey::find_way_out<R, map>();

static_assert(way<void> == way_out::none);
static_assert(way<int> == way_out::none);
static_assert(way<std::string> == way_out::none);
static_assert(way<map> == way_out::none);
static_assert(way<std::vector<std::string>> == way_out::none);
static_assert(way<std::pair<int, std::string>> == way_out::none);
static_assert(way<std::optional<map>> == way_out::none);
static_assert(way<std::unique_ptr<int>> == way_out::none);
static_assert(way<map&> == way_out::reference);
static_assert(way<const int&> == way_out::reference);
static_assert(way<int&&> == way_out::reference);
static_assert(way<std::reference_wrapper<map>> == way_out::reference);
static_assert(way<std::tuple<int, std::string&>> == way_out::reference);
static_assert(way<map*> == way_out::pointer);
static_assert(way<const char*> == way_out::pointer);
static_assert(way<std::optional<int*>> == way_out::pointer);
static_assert(way<std::vector<std::optional<int*>>> == way_out::pointer);
static_assert(way<std::variant<int, int*>> == way_out::pointer);
static_assert(way<map::iterator> == way_out::iterator);
static_assert(way<std::pair<map::iterator, bool>> == way_out::iterator);
static_assert(way<std::vector<map::const_iterator>> == way_out::iterator);
static_assert(way<std::string_view> == way_out::view);
static_assert(way<std::span<int>> == way_out::view);
static_assert(way<std::map<int, std::string_view>> == way_out::view);
// What is guarded may be copied out, whatever it is.
static_assert(turnkey::find_way_out<std::string_view, std::string_view>() == way_out::none);
static_assert(turnkey::find_way_out<std::vector<int*>, std::vector<int*>>() == way_out::none);
static_assert(turnkey::find_way_out<int*, int*>() == way_out::pointer);

// Holds the lock of `it` for writing while somebody else does `what`.
template <class T, class Mutex, class F>
void while_locked(const stage& where, guarded<T, Mutex>& it, F what) {
  const auto hold = it.lock();
  support::crew others(where);
  others.start(what);
}

constexpr auto is_positive = [](int n) { return n > 0; };

struct waiting_form {
  const char* name;
  std::function<guarded<int>::scope(guarded<int>&)> wait;
};

// The forms of wait() that end only by their condition.
std::vector<waiting_form> patient_forms() {
  static const std::stop_source nobody_asks;
  return {
      {"untimed", [](auto& g) { return g.wait(is_positive); }},
      {"for an hour", [](auto& g) { return g.wait_for(1h, is_positive); }},
      {"for the longest time", [](auto& g) { return g.wait_for(std::chrono::hours::max(), is_positive); }},
      {"until an hour from now by the wall clock",
       [](auto& g) { return g.wait_until(std::chrono::system_clock::now() + 1h, is_positive); }},
      {"with a token that can never be stopped", [](auto& g) { return g.wait(std::stop_token(), is_positive); }},
      {"with a token that nobody stops", [](auto& g) { return g.wait(nobody_asks.get_token(), is_positive); }},
  };
}

// Three guardeds, one of them only read, and the forms of with_all() that end.
struct trio {
  guarded<int> a{1};
  guarded<int, rw_mutex> b{2};
  guarded<int, rw_mutex> c{3};
  // Whether nobody holds any of them.
  bool is_free() { return a.try_lock() && b.try_lock() && c.try_lock(); }
};
using trio_function = std::function<int(int&, int&, const int&)>;
constexpr auto add_up = [](int& x, int& y, const int& z) { return x + y + z; };

struct limited_form {
  const char* name;
  std::function<std::optional<int>(trio&, const trio_function&)> call;
};

// Those that end only by getting the locks.
std::vector<limited_form> patient_with_all_forms() {
  static const std::stop_source nobody_asks;
  return {
      {"for an hour", [](auto& t, auto& f) { return with_all_for(1h, f, t.a, t.b, std::as_const(t.c)); }},
      {"for the longest time",
       [](auto& t, auto& f) { return with_all_for(std::chrono::hours::max(), f, t.a, t.b, std::as_const(t.c)); }},
      {"until an hour from now",
       [](auto& t, auto& f) {
         return with_all_until(std::chrono::steady_clock::now() + 1h, f, t.a, t.b, std::as_const(t.c));
       }},
      {"until an hour from now by the wall clock",
       [](auto& t, auto& f) {
         return with_all_until(std::chrono::system_clock::now() + 1h, f, t.a, t.b, std::as_const(t.c));
       }},
      {"with a token that can never be stopped",
       [](auto& t, auto& f) { return with_all(std::stop_token(), f, t.a, t.b, std::as_const(t.c)); }},
      {"with a token that nobody stops",
       [](auto& t, auto& f) { return with_all(nobody_asks.get_token(), f, t.a, t.b, std::as_const(t.c)); }},
  };
}

// Those that try once.
std::vector<limited_form> timed_out_with_all_forms() {
  return {
      {"for no time", [](auto& t, auto& f) { return with_all_for(0s, f, t.a, t.b, std::as_const(t.c)); }},
      {"for less than no time", [](auto& t, auto& f) { return with_all_for(-1h, f, t.a, t.b, std::as_const(t.c)); }},
      {"until the beginning of time",
       [](auto& t, auto& f) {
         return with_all_until(std::chrono::steady_clock::time_point(), f, t.a, t.b, std::as_const(t.c));
       }},
      {"until a moment ago by the wall clock",
       [](auto& t, auto& f) {
         return with_all_until(std::chrono::system_clock::now() - 1ms, f, t.a, t.b, std::as_const(t.c));
       }},
  };
}

std::optional<int> with_all_stopped_before(trio& t, const trio_function& f) {
  std::stop_source stopped;
  stopped.request_stop();
  return with_all(stopped.get_token(), f, t.a, t.b, std::as_const(t.c));
}

// Holds the i-th of them.
struct one_of_trio {
  one_of_trio(trio& t, int i) {
    switch (i) {
      case 0: a.emplace(t.a.lock()); break;
      case 1: other.emplace(t.b.lock()); break;
      default: other.emplace(t.c.lock());
    }
  }
  std::optional<guarded<int>::scope> a;
  std::optional<guarded<int, rw_mutex>::scope> other;
};
// Whether only the i-th of them is held.
bool are_others_free(trio& t, int i) {
  return static_cast<bool>(t.a.try_lock()) == (i != 0) && static_cast<bool>(t.b.try_lock()) == (i != 1) &&
         static_cast<bool>(t.c.try_lock()) == (i != 2);
}

// Can be had by waiting, and never by trying; or throws.
struct contrary_mutex {
  static inline int held = 0;
  static inline bool throws = false;
  void lock() {
    if (throws) throw std::runtime_error("no lock");
    ++held;
  }
  bool try_lock() {
    if (throws) throw std::runtime_error("no try");
    return false;
  }
  template <class Time>
  bool try_lock_until(const Time& /*when*/) {
    return lock(), true;
  }
  bool lock(std::stop_token /*token*/) { return lock(), true; }
  void unlock() { --held; }
};

template <class Mutex>
class GuardedBy : public testing::Test {};
using mutexes = testing::Types<turnkey::mutex, rw_mutex, std::mutex, std::timed_mutex, std::recursive_mutex,
                               std::shared_mutex, std::shared_timed_mutex>;
TYPED_TEST_SUITE(GuardedBy, mutexes);

}  // namespace

TEST(Guarded, IsReadyBeforeAnyConstructorRuns) {
  EXPECT_EQ(static_guarded.load(), 0);
  static_guarded.store(1);
  EXPECT_EQ(static_guarded.exchange(0), 1);
}

TYPED_TEST(GuardedBy, GivesAccessToItsValue) {
  guarded<std::string, TypeParam> it("one");
  it.with([](std::string& s) { s += " two"; });
  EXPECT_EQ(it.with([](auto& s) { return s.size(); }), 7U);
  EXPECT_EQ(it.read([](const auto& s) { return s; }), "one two");
  EXPECT_EQ(it.load(), "one two");
  it.store("three");
  EXPECT_EQ(it.exchange("four"), "three");
  {
    auto p = it.lock();
    EXPECT_TRUE(p);
    *p += "!";
    EXPECT_EQ(p->size(), 5U);
  }
  EXPECT_EQ(*it.lock_shared(), "four!");
  EXPECT_EQ(it.lock()->front(), 'f');
  EXPECT_EQ(*it.try_lock(), "four!");
  EXPECT_EQ(*it.try_lock_shared(), "four!");
}

TYPED_TEST(GuardedBy, LosesNoUpdate) {
  // A goroutine that waits for one of std's locks keeps its worker from the one that holds it; nobody here waits inside.
  support::run_everywhere([](const stage& where) {
    guarded<int, TypeParam> it(0);
    {
      support::crew others(where);
      for (int i = 0; i < 6; ++i) {
        others.start([&] {
          for (int k = 0; k < 200; ++k) {
            switch (k % 4) {
              case 0: it.with([](int& n) { ++n; }); break;
              case 1: ++*it.lock().operator->(); break;
              case 2: with_all([](int& n) { ++n; }, it); break;
              default: {
                auto p = it.lock();
                ++*p;
              }
            }
            static_cast<void>(it.load());
          }
        });
      }
    }
    EXPECT_EQ(it.load(), 1200);
  });
}

TYPED_TEST(GuardedBy, WaitsUntilItsValueIsAsWanted) {
  if constexpr (!std::is_same_v<TypeParam, std::recursive_mutex>) {
    guarded<int, TypeParam> it(0);
    std::thread other([&] { it.with([](int& n) { n = 2; }); });
    EXPECT_EQ(*it.wait(is_positive), 2);
    other.join();
  }
}

TEST(Guarded, ReturnsByValueWhatIsCalledReturns) {
  guarded<map> it(map{{1, "one"}});
  static_assert(std::same_as<decltype(it.with([](map& m) { return m.at(1); })), std::string>);
  static_assert(std::same_as<decltype(it.with([](map&) {})), void>);
  static_assert(std::same_as<decltype(it.read([](const map& m) { return m; })), map>);
  const std::unique_ptr<int> moved = it.with([](map&) { return std::make_unique<int>(3); });
  EXPECT_EQ(*moved, 3);
}

TEST(Guarded, CallsWhatCanBeCalled) {
  struct account {
    int balance = 5;
    int add(int) { return ++balance; }
    int withdraw() { return --balance; }
  };
  guarded<account> it;
  EXPECT_EQ(it.with(&account::withdraw), 4);
  EXPECT_EQ(it.with([bonus = std::make_unique<int>(3)](account& a) { return a.balance += *bonus; }), 7);
}

TEST(Guarded, HoldsWhatCanNeitherBeCopiedNorMoved) {
  guarded<std::atomic<int>> it(std::in_place, 3);
  EXPECT_EQ(it.with([](auto& n) { return n.load(); }), 3);
  const auto p = it.lock();
  EXPECT_EQ(p->load(), 3);
}

TEST(Guarded, IsUnlockedWhenAnExceptionOrAReturnLeaves) {
  guarded<int> it(0);
  EXPECT_THROW(it.with([](int& n) {
    n = 1;
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_TRUE(it.try_lock());
  EXPECT_THROW(it.read([](const int&) -> int { throw 1; }), int);
  [&] {
    auto p = it.lock();
    if (*p == 1) return;
    *p = 5;
  }();
  EXPECT_EQ(it.load(), 1);
}

TEST(Guarded, DestroysWhatItReplacesAfterTheLock) {
  struct nosy {
    guarded<std::unique_ptr<nosy>>* home;
    bool* was_free;
    nosy(guarded<std::unique_ptr<nosy>>* its_home, bool* its_answer) : home(its_home), was_free(its_answer) {}
    ~nosy() { *was_free = static_cast<bool>(home->try_lock()); }
  };
  bool was_free = false;
  guarded<std::unique_ptr<nosy>> it;
  it.store(std::make_unique<nosy>(&it, &was_free));
  it.store(nullptr);
  EXPECT_TRUE(was_free);
}

TEST(GuardedScope, HoldsTheLockUntilItGoes) {
  guarded<int, rw_mutex> it(3);
  auto p = it.lock();
  EXPECT_FALSE(it.try_lock());
  EXPECT_FALSE(it.try_lock_shared());
  auto q = std::move(p);
  EXPECT_FALSE(p);  // NOLINT(bugprone-use-after-move): that is what is promised
  EXPECT_FALSE(it.try_lock());
  q.unlock();
  EXPECT_FALSE(q);
  EXPECT_TRUE(it.try_lock());
  const auto r = it.lock_shared();
  EXPECT_TRUE(it.try_lock_shared());
  EXPECT_FALSE(it.try_lock());
}

TEST(GuardedScope, LetsGoOfWhatItHeldWhenAnotherIsMovedIn) {
  guarded<int> it(1);
  guarded<int> other(2);
  auto p = it.lock();
  p = other.lock();
  EXPECT_EQ(*p, 2);
  EXPECT_TRUE(it.try_lock());
  EXPECT_FALSE(other.try_lock());
}

TEST(GuardedScope, ThrowsIfItDoesNotHoldTheLock) {
  guarded<int> it(1);
  auto p = it.lock();
  auto q = std::move(p);
  EXPECT_THROW(static_cast<void>(*p), std::logic_error);  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(static_cast<void>(it.try_lock().operator->()), std::logic_error);
}

TEST(GuardedScope, CopiesWhatATemporaryOneHolds) {
  guarded<std::vector<int>> it(std::vector{1, 2, 3});
  const auto& copy = *it.lock();
  EXPECT_TRUE(it.try_lock());
  it.with([](auto& v) { v.clear(); });
  EXPECT_EQ(copy.size(), 3U);
  it.store({4, 5});
  int sum = 0;
  for (const int each : *it.lock()) {
    EXPECT_TRUE(it.try_lock());
    sum += each;
  }
  EXPECT_EQ(sum, 9);
}

TEST(Guarded, IsReadByManyAtOnceIfTheMutexCan) {
  support::run_everywhere([](const stage& where) {
    guarded<int, rw_mutex> it(3);
    support::start_line all_inside(3);
    support::crew others(where);
    others.start([&] { it.read([&](const int&) { all_inside.wait(); }); });
    others.start([&] {
      const auto p = it.lock_shared();
      all_inside.wait();
    });
    EXPECT_EQ(it.read([&](const int& n) {
      all_inside.wait();
      return n;
    }),
              3);
  });
}

TEST(Guarded, GivesUpAtTheEndOfATimeOrAtAStop) {
  support::run_everywhere([](const stage& where) {
    guarded<int, rw_mutex> it(1);
    while_locked(where, it, [&] {
      EXPECT_FALSE(it.try_lock());
      EXPECT_FALSE(it.try_lock_for(1ms));
      EXPECT_FALSE(it.try_lock_for(-1ms));
      EXPECT_FALSE(it.try_lock_until(std::chrono::steady_clock::now() + 1ms));
      EXPECT_FALSE(it.try_lock_shared());
      EXPECT_FALSE(it.try_lock_shared_for(1ms));
      EXPECT_FALSE(it.try_lock_shared_until(std::chrono::system_clock::now()));
      std::stop_source stopped;
      stopped.request_stop();
      EXPECT_FALSE(it.lock(stopped.get_token()));
      EXPECT_FALSE(it.lock_shared(stopped.get_token()));
    });
    EXPECT_TRUE(it.try_lock_for(0ms));
    EXPECT_TRUE(it.try_lock_until(std::chrono::steady_clock::now() + 1h));
    EXPECT_TRUE(it.try_lock_shared_for(1h));
    EXPECT_TRUE(it.try_lock_shared_until(std::chrono::steady_clock::now()));
    EXPECT_TRUE(it.lock(std::stop_source().get_token()));
    EXPECT_TRUE(it.lock_shared(std::stop_token()));
  });
}

TEST(Guarded, DoesNotCallWhatWouldHaveToWaitTooLong) {
  support::run_everywhere([](const stage& where) {
    guarded<int, rw_mutex> it(1);
    const auto add = [](int& n) { return n += 10; };
    const auto note = [](int& n) { n += 100; };
    const auto look = [](const int& n) { return n; };
    std::stop_source stopped;
    stopped.request_stop();
    while_locked(where, it, [&] {
      EXPECT_EQ(it.with_for(1ms, add), std::nullopt);
      EXPECT_EQ(it.with_until(std::chrono::system_clock::now(), add), std::nullopt);
      EXPECT_EQ(it.with(stopped.get_token(), add), std::nullopt);
      EXPECT_FALSE(it.with_for(-1ms, note));
      EXPECT_EQ(it.read_for(1ms, look), std::nullopt);
      EXPECT_EQ(it.read_until(std::chrono::steady_clock::now() + 1ms, look), std::nullopt);
      EXPECT_EQ(it.read(stopped.get_token(), look), std::nullopt);
    });
    EXPECT_EQ(it.with(stopped.get_token(), add), std::nullopt);
    EXPECT_EQ(it.load(), 1);
    EXPECT_EQ(it.with_for(1h, add), 11);
    EXPECT_EQ(it.with_until(std::chrono::steady_clock::now(), add), 21);
    EXPECT_EQ(it.with(std::stop_token(), add), 31);
    EXPECT_TRUE(it.with_for(0ms, note));
    EXPECT_TRUE(it.with(std::stop_source().get_token(), note));
    EXPECT_EQ(it.read_for(-1ms, look), 231);
    EXPECT_EQ(it.read_until(std::chrono::system_clock::now() + 1h, look), 231);
    EXPECT_EQ(it.read(std::stop_source().get_token(), look), 231);
  });
}

TEST(Guarded, StopsWaitingToCallWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    guarded<int> it(1);
    std::stop_source stop;
    support::watched caller;
    {
      const auto hold = it.lock();
      support::crew others(where);
      others.start(caller, [&] { EXPECT_FALSE(it.with(stop.get_token(), [](int& n) { n = 2; })); });
      EXPECT_TRUE(caller.comes_to_wait());
      stop.request_stop();
    }
    EXPECT_EQ(it.load(), 1);
  });
}

TEST(GuardedWait, DoesNotWaitIfTheValueIsAsWanted) {
  support::run_everywhere([](const stage&) {
    guarded<int> it(1);
    for (const auto& form : patient_forms()) {
      const auto p = form.wait(it);
      EXPECT_TRUE(p) << form.name;
      EXPECT_FALSE(it.try_lock()) << form.name;
    }
    EXPECT_TRUE(it.wait_for(-1s, is_positive));
    EXPECT_TRUE(it.wait_until(std::chrono::steady_clock::time_point(), is_positive));
  });
}

TEST(GuardedWait, IsWokenByEveryWayToWrite) {
  const std::vector<std::function<void(guarded<int>&)>> ways{
      [](auto& g) { g.with([](int& n) { n = 1; }); },
      [](auto& g) { g.store(1); },
      [](auto& g) { static_cast<void>(g.exchange(1)); },
      [](auto& g) {
        const auto p = g.lock();
        *p = 1;
      },
      [](auto& g) {
        auto p = g.lock();
        *p = 1;
        p.unlock();
      },
      [](auto& g) { with_all([](int& n) { n = 1; }, g); },
      [](auto& g) {
        const auto p = g.wait([](int) { return true; });
        *p = 1;
      },
      [](auto& g) {
        EXPECT_THROW(g.with([](int& n) {
          n = 1;
          throw std::runtime_error("after all");
        }),
                     std::runtime_error);
      },
  };
  support::run_everywhere([&](const stage& where) {
    for (const auto& form : patient_forms()) {
      for (std::size_t i = 0; i < ways.size(); ++i) {
        guarded<int> it(0);
        support::watched other;
        support::crew others(where);
        others.start(other, [&] { EXPECT_EQ(*form.wait(it), 1) << form.name << ", way " << i; });
        EXPECT_TRUE(other.comes_to_wait()) << form.name << ", way " << i;
        ways[i](it);
      }
    }
  });
}

TEST(GuardedWait, WakesOnlyThoseWhoseConditionIsTrue) {
  support::run_everywhere([](const stage& where) {
    guarded<int> it(0);
    std::array<support::watched, 4> others;
    support::crew crew(where);
    for (int i = 0; i < 4; ++i) {
      auto& other = others[static_cast<std::size_t>(i)];
      crew.start(other, [&it, i] { EXPECT_EQ(*it.wait([i](int n) { return n == i + 1; }), i + 1); });
      EXPECT_TRUE(other.comes_to_wait());
    }
    for (const int i : {2, 0, 3, 1}) {
      it.store(i + 1);
      auto& other = others[static_cast<std::size_t>(i)];
      support::await([&] { return other.has_left(); });
    }
  });
}

TEST(GuardedWait, LetsThoseGoOneAfterTheOtherWhoWaitForTheSame) {
  support::run_everywhere([](const stage& where) {
    guarded<std::vector<int>> it;
    std::atomic<bool> may_go{false};
    std::array<support::watched, 4> others;
    support::crew crew(where);
    for (int i = 0; i < 4; ++i) {
      auto& other = others[static_cast<std::size_t>(i)];
      crew.start(other, [&, i] { it.wait([&](const auto&) { return may_go.load(); })->push_back(i); });
      EXPECT_TRUE(other.comes_to_wait());
    }
    may_go = true;
    it.with([](auto&) {});
    crew.join();
    EXPECT_EQ(it.load(), (std::vector{0, 1, 2, 3}));
  });
}

TEST(GuardedWait, GivesUpAtTheEndOfATime) {
  support::run_everywhere([](const stage&) {
    guarded<int> it(0);
    EXPECT_FALSE(it.wait_for(1ms, is_positive));
    EXPECT_FALSE(it.wait_for(-1ms, is_positive));
    EXPECT_FALSE(it.wait_until(std::chrono::system_clock::now() + 1ms, is_positive));
    EXPECT_TRUE(it.try_lock());
    it.store(1);  // nobody is in line any more
    EXPECT_TRUE(it.wait_for(1ms, is_positive));
  });
}

TEST(GuardedWait, GivesUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    guarded<int> it(0);
    std::stop_source source;
    support::watched other;
    support::crew others(where);
    others.start(other, [&] { EXPECT_FALSE(it.wait(source.get_token(), is_positive)); });
    EXPECT_TRUE(other.comes_to_wait());
    source.request_stop();
    others.join();
    EXPECT_FALSE(it.wait(source.get_token(), is_positive));
    it.store(1);
    EXPECT_TRUE(it.wait(source.get_token(), is_positive));
  });
}

TEST(GuardedWait, PassesItsCallOnWhenItGivesUp) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 20; ++i) {
      guarded<int> it(0);
      std::stop_source source;
      support::watched first;
      support::watched second;
      support::crew others(where);
      others.start(first, [&] {
        if (auto p = it.wait(source.get_token(), is_positive)) *p -= 1;
      });
      EXPECT_TRUE(first.comes_to_wait());
      others.start(second, [&] { *it.wait(is_positive).operator->() -= 1; });
      EXPECT_TRUE(second.comes_to_wait());
      others.start([&] { source.request_stop(); });
      it.with([](int& n) { n = 2; });
      others.join();
      EXPECT_LE(it.load(), 1);
    }
  });
}

TEST(GuardedWait, ThrowsWhatItsConditionThrows) {
  support::run_everywhere([](const stage& where) {
    guarded<int> it(0);
    const auto strict = [](int n) {
      if (n < 0) throw std::domain_error("negative");
      return n > 0;
    };
    support::watched other;
    support::watched patient;
    support::crew others(where);
    others.start(other, [&] { EXPECT_THROW(it.wait(strict), std::domain_error); });
    EXPECT_TRUE(other.comes_to_wait());
    others.start(patient, [&] { EXPECT_EQ(*it.wait([](int n) { return n != 0; }), -1); });
    EXPECT_TRUE(patient.comes_to_wait());
    it.store(-1);
    others.join();
    EXPECT_THROW(it.wait(strict), std::domain_error);
    EXPECT_TRUE(it.try_lock());
  });
}

// A queue without a condition variable: each item goes to one, and all go somewhere.
TEST(GuardedWait, MakesAQueue) {
  support::run_everywhere([](const stage& where) {
    constexpr int items = 60;
    constexpr std::size_t room = 3;
    guarded<std::deque<int>> queue;
    std::atomic<int> sum{0};
    {
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          for (int k = 1; k <= items; ++k) queue.wait([](const auto& q) { return q.size() < room; })->push_back(k);
        });
        others.start([&] {
          for (int k = 1; k <= items; ++k) {
            auto q = queue.wait([](const auto& all) { return !all.empty(); });
            EXPECT_LE(q->size(), room);
            sum += q->front();
            q->pop_front();
          }
        });
      }
    }
    EXPECT_EQ(sum, 3 * items * (items + 1) / 2);
    EXPECT_TRUE(queue.load().empty());
  });
}

TEST(WithAll, LocksAllOfThem) {
  guarded<int> a(1);
  guarded<std::string, rw_mutex> b("b");
  guarded<int, std::mutex> c(3);
  EXPECT_EQ(with_all(
                [&](int& x, std::string& y, int& z) {
                  EXPECT_FALSE(a.try_lock());
                  EXPECT_FALSE(b.try_lock_shared());
                  y += "!";
                  return x + z;
                },
                a, b, c),
            4);
  EXPECT_TRUE(a.try_lock());
  EXPECT_EQ(b.load(), "b!");
}

TEST(WithAll, OnlyReadsWhatIsConst) {
  guarded<int> a(1);
  guarded<int, rw_mutex> b(2);
  const int sum = with_all(
      [&](int& x, const int& y) {
        EXPECT_TRUE(b.try_lock_shared());
        EXPECT_FALSE(b.try_lock());
        return x + y;
      },
      a, std::as_const(b));
  EXPECT_EQ(sum, 3);
}

TEST(WithAll, RefusesToLockOneTwice) {
  guarded<int> a(1);
  const auto f = [](int&, int&) {};
  EXPECT_THROW(with_all(f, a, a), std::logic_error);
  EXPECT_THROW(static_cast<void>(with_all_for(1h, f, a, a)), std::logic_error);
  EXPECT_THROW(static_cast<void>(with_all_until(std::chrono::steady_clock::now(), f, a, a)), std::logic_error);
  EXPECT_THROW(static_cast<void>(with_all(std::stop_source().get_token(), f, a, a)), std::logic_error);
  EXPECT_TRUE(a.try_lock());
}

TEST(WithAll, TakesATokenForATokenAndAFunctionForAFunction) {
  guarded<int> a(1);
  guarded<std::string> b("b");
  std::stop_token token = std::stop_source().get_token();
  const std::stop_token constant = token;
  auto f = [](int& n, std::string& s) { return s + std::to_string(n); };
  const auto g = f;
  static_assert(std::same_as<decltype(with_all(f, a, b)), std::string>);
  static_assert(std::same_as<decltype(with_all(token, f, a, b)), std::optional<std::string>>);
  const auto nothing = [](int&) {};
  static_assert(std::same_as<decltype(with_all_for(1h, nothing, a)), bool>);
  EXPECT_EQ(with_all(token, f, a, b), "b1");
  EXPECT_EQ(with_all(constant, g, a, b), "b1");
  EXPECT_EQ(with_all(std::move(token), std::move(f), a, b), "b1");
  EXPECT_EQ(with_all_for(1h, std::ref(g), a, b), "b1");
  EXPECT_TRUE(with_all(
      constant, [one = std::make_unique<int>(1)](int& n) { n += *one; }, a));
  const auto copied = [](int& n) { return std::make_unique<int>(n); };
  EXPECT_EQ(*with_all_until(std::chrono::steady_clock::now(), copied, a).value(), 2);
}

TEST(WithAll, CallsAtOnceIfAllAreFree) {
  support::run_everywhere([](const stage&) {
    trio t;
    for (const auto& forms : {patient_with_all_forms(), timed_out_with_all_forms()}) {
      for (const auto& form : forms) {
        const auto look = [&](int& x, int& y, const int& z) {
          EXPECT_FALSE(t.a.try_lock());
          EXPECT_FALSE(t.b.try_lock_shared());
          EXPECT_FALSE(t.c.try_lock());
          EXPECT_TRUE(t.c.try_lock_shared());
          return x + y + z;
        };
        EXPECT_EQ(form.call(t, look), 6) << form.name;
        EXPECT_TRUE(t.is_free()) << form.name;
      }
    }
    EXPECT_EQ(with_all_stopped_before(t, add_up), std::nullopt);
    EXPECT_TRUE(t.is_free());
  });
}

TEST(WithAll, GivesUpIfOneIsNotHadInTimeAndThenHoldsNone) {
  support::run_everywhere([](const stage& where) {
    trio t;
    const trio_function never = [](int&, int&, const int&) -> int {
      ADD_FAILURE() << "must not run";
      return 0;
    };
    for (int i = 0; i < 3; ++i) {
      const one_of_trio hold(t, i);
      support::crew others(where);
      others.start([&, i] {
        for (const auto& form : timed_out_with_all_forms()) {
          EXPECT_EQ(form.call(t, never), std::nullopt) << form.name;
          EXPECT_TRUE(are_others_free(t, i)) << form.name << ", " << i;
        }
        EXPECT_EQ(with_all_for(1ms, never, t.a, t.b, std::as_const(t.c)), std::nullopt);
        EXPECT_EQ(with_all_stopped_before(t, never), std::nullopt);
        EXPECT_FALSE(with_all_for(
            0s, [](int&, int&, int&) {}, t.c, t.a, t.b));
        EXPECT_TRUE(are_others_free(t, i)) << i;
      });
    }
    EXPECT_TRUE(t.is_free());
  });
}

TEST(WithAll, HoldsNoneWhileItWaitsAndGivesUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 3; ++i) {
      trio t;
      std::stop_source stop;
      support::watched caller;
      const one_of_trio hold(t, i);
      support::crew others(where);
      others.start(caller,
                   [&] { EXPECT_EQ(with_all(stop.get_token(), add_up, t.a, t.b, std::as_const(t.c)), std::nullopt); });
      EXPECT_TRUE(caller.comes_to_wait());
      EXPECT_TRUE(are_others_free(t, i)) << i;
      stop.request_stop();
      others.join();
      EXPECT_TRUE(are_others_free(t, i)) << i;
    }
  });
}

TEST(WithAll, CallsWhenTheLastComesFreeInTime) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_with_all_forms()) {
      for (int i = 0; i < 3; ++i) {
        trio t;
        support::watched caller;
        std::optional<one_of_trio> first(std::in_place, t, i);
        std::optional<one_of_trio> last(std::in_place, t, (i + 1) % 3);
        support::crew others(where);
        others.start(caller, [&] { EXPECT_EQ(form.call(t, add_up), 6) << form.name; });
        EXPECT_TRUE(caller.comes_to_wait()) << form.name;
        first.reset();
        turnkey::this_goroutine::yield();
        EXPECT_FALSE(caller.has_left()) << form.name;
        last.reset();
        others.join();
        EXPECT_TRUE(t.is_free()) << form.name;
      }
    }
  });
}

TEST(WithAll, LeavesAllUnlockedWhenAnExceptionLeaves) {
  trio t;
  const trio_function f = [](int& x, int&, const int&) -> int {
    ++x;
    throw std::runtime_error("no");
  };
  int calls = 1;
  for (const auto& forms : {patient_with_all_forms(), timed_out_with_all_forms()}) {
    for (const auto& form : forms) {
      EXPECT_THROW(form.call(t, f), std::runtime_error) << form.name;
      EXPECT_TRUE(t.is_free()) << form.name;
      EXPECT_EQ(t.a.load(), ++calls) << form.name;
    }
  }
  EXPECT_THROW(with_all(f, t.a, t.b, t.c), std::runtime_error);
  EXPECT_TRUE(t.is_free());
}

// Each wait is over at once, so only with_all() itself can tell that the time is.
TEST(WithAll, GivesUpInTimeEvenIfItNeverHasToWait) {
  guarded<int, contrary_mutex> a;
  guarded<int, contrary_mutex> b;
  const auto never = [](int&, int&) { ADD_FAILURE() << "must not run"; };
  EXPECT_FALSE(with_all_for(1ms, never, a, b));
  EXPECT_FALSE(with_all_until(std::chrono::system_clock::now() - 1s, never, a, b));
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_FALSE(with_all(stopped.get_token(), never, a, b));
  EXPECT_EQ(contrary_mutex::held, 0);
}

TEST(WithAll, HoldsNoneIfAMutexThrows) {
  guarded<int> a;
  guarded<int, contrary_mutex> b;
  contrary_mutex::throws = true;
  const auto never = [](int&, int&) { ADD_FAILURE() << "must not run"; };
  EXPECT_THROW(with_all(never, a, b), std::runtime_error);
  EXPECT_THROW(static_cast<void>(with_all_for(1h, never, a, b)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(with_all(std::stop_token(), never, a, b)), std::runtime_error);
  contrary_mutex::throws = false;
  EXPECT_EQ(contrary_mutex::held, 0);
  EXPECT_TRUE(a.try_lock());
}

TEST(WithAll, DoesNotDeadlockWhateverTheOrder) {
  support::run_everywhere([](const stage& where) {
    guarded<int> a(1000);
    guarded<int> b(1000);
    guarded<int> c(1000);
    const std::stop_source nobody_asks;
    {
      support::crew others(where);
      const auto move = [](int& from, int& to) {
        --from;
        ++to;
      };
      for (int i = 0; i < 6; ++i) {
        others.start([&, i] {
          for (int k = 0; k < 100; ++k) {
            switch (i % 3) {
              case 0: with_all(move, a, b); break;
              case 1: EXPECT_TRUE(with_all_for(1h, move, b, c)); break;
              default: EXPECT_TRUE(with_all(nobody_asks.get_token(), move, c, a));
            }
          }
        });
      }
    }
    EXPECT_EQ(with_all([](const int& x, const int& y, const int& z) { return x + y + z; }, a, b, c), 3000);
    EXPECT_EQ(a.load(), 1000);
  });
}

TEST(Guarded, MayBeDestroyedByTheOneWhoWaitedForItsLastChange) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 20; ++i) {
      support::mortal<guarded<int>> it(0);
      support::crew others(where);
      others.start([&] { it->store(1); });
      static_cast<void>(it->wait(is_positive));
      static_cast<void>(it->lock());  // the store has given the lock back
      it.end();
    }
  });
}
