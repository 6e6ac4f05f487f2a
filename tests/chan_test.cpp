#include <turnkey/chan.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "channel_values.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;
using support::tracked;
using turnkey::chan;
using turnkey::chan_status;
using turnkey::channel_closed;
using turnkey::make_chan;
using turnkey::receiver;
using turnkey::sender;

static_assert(sizeof(chan<int>) == sizeof(void*) && sizeof(sender<int>) == sizeof(void*));
static_assert(std::is_copy_constructible_v<chan<std::unique_ptr<int>>> && std::is_copy_assignable_v<chan<int>>);
static_assert(std::is_nothrow_move_constructible_v<chan<int>> && std::is_nothrow_move_assignable_v<chan<int>>);
static_assert(std::is_convertible_v<chan<int>, sender<int>> && std::is_convertible_v<chan<int>, receiver<int>>);
static_assert(!std::is_convertible_v<sender<int>, chan<int>> && !std::is_convertible_v<receiver<int>, chan<int>>);
static_assert(!std::is_convertible_v<sender<int>, receiver<int>>);
static_assert(!std::is_convertible_v<chan<int>, bool> && std::is_constructible_v<bool, chan<int>>);
static_assert(std::is_base_of_v<std::logic_error, channel_closed>);
static_assert(std::ranges::input_range<chan<int>> && std::ranges::input_range<const receiver<std::string>>);

namespace {

constinit chan<int> static_nil;

// Calls `f` and returns the words of the E that it throws.
template <class E, class F>
std::string words_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// The forms that end only by receiving, or by "closed".
template <class T>
struct receiving_form {
  const char* name;
  std::function<std::optional<T>(const receiver<T>&)> receive;
};
template <class T>
std::vector<receiving_form<T>> patient_receives() {
  static const std::stop_source nobody_asks;
  const auto by_status = [](auto f) {
    return [f](const receiver<T>& c) -> std::optional<T> {
      T v{};
      const chan_status status = f(c, v);
      if (status == chan_status::ok) return std::optional<T>(std::move(v));
      EXPECT_EQ(status, chan_status::closed);
      return std::nullopt;
    };
  };
  return {
      {"recv()", [](const receiver<T>& c) { return c.recv(); }},
      {"recv(v)", by_status([](const receiver<T>& c, T& v) { return c.recv(v); })},
      {"with a token that can never be stopped", [](const receiver<T>& c) { return c.recv(std::stop_token()); }},
      {"with a token that nobody stops", [](const receiver<T>& c) { return c.recv(nobody_asks.get_token()); }},
      {"recv(v, token)", by_status([](const receiver<T>& c, T& v) { return c.recv(v, nobody_asks.get_token()); })},
      {"for an hour", by_status([](const receiver<T>& c, T& v) { return c.recv_for(v, 1h); })},
      {"for the longest time",
       by_status([](const receiver<T>& c, T& v) { return c.recv_for(v, std::chrono::hours::max()); })},
      {"until an hour from now",
       by_status([](const receiver<T>& c, T& v) { return c.recv_until(v, std::chrono::system_clock::now() + 1h); })},
  };
}

template <class T>
struct sending_form {
  const char* name;
  std::function<void(const sender<T>&, T)> send;
};
template <class T>
std::vector<sending_form<T>> patient_sends() {
  static const std::stop_source nobody_asks;
  return {
      {"send(v)", [](const sender<T>& c, T v) { c.send(std::move(v)); }},
      {"with a token that can never be stopped",
       [](const sender<T>& c, T v) { EXPECT_TRUE(c.send(std::move(v), std::stop_token())); }},
      {"with a token that nobody stops",
       [](const sender<T>& c, T v) { EXPECT_TRUE(c.send(std::move(v), nobody_asks.get_token())); }},
      {"for an hour", [](const sender<T>& c, T v) { EXPECT_EQ(c.send_for(std::move(v), 1h), chan_status::ok); }},
      {"until the end of the steady clock",
       [](const sender<T>& c, T v) {
         EXPECT_EQ(c.send_until(std::move(v), std::chrono::steady_clock::time_point::max()), chan_status::ok);
       }},
  };
}

}  // namespace

// ---- Nil ----------------------------------------------------------------------------------------------------------

TEST(NilChan, IsNeverReady) {
  support::run_everywhere([](const stage&) {
    const chan<std::string> nil;
    std::string v = "mine";
    std::stop_source source;
    EXPECT_FALSE(nil);
    EXPECT_EQ(nil.size(), 0U);
    EXPECT_EQ(nil.capacity(), 0U);
    EXPECT_EQ(nil.try_send("x"), chan_status::would_block);
    EXPECT_EQ(nil.try_recv(v), chan_status::would_block);
    EXPECT_EQ(nil.send_for("x", 100us), chan_status::timeout);
    EXPECT_EQ(nil.recv_for(v, 100us), chan_status::timeout);
    EXPECT_EQ(nil.recv_until(v, std::chrono::steady_clock::now()), chan_status::timeout);
    source.request_stop();
    EXPECT_EQ(nil.recv(source.get_token()), std::nullopt);
    EXPECT_FALSE(nil.send("x", source.get_token()));
    EXPECT_EQ(v, "mine");
  });
  EXPECT_FALSE(static_nil);
}

TEST(NilChan, IsLeftByAStop) {
  support::run_everywhere([](const stage& where) {
    const chan<int> nil;
    std::stop_source source;
    std::array<support::watched, 2> waiters;
    support::crew others(where);
    others.start(waiters[0], [&] { EXPECT_EQ(nil.recv(source.get_token()), std::nullopt); });
    others.start(waiters[1], [&] { EXPECT_FALSE(nil.send(1, source.get_token())); });
    for (auto& waiter : waiters) EXPECT_TRUE(waiter.comes_to_wait());
    source.request_stop();
  });
}

TEST(NilChan, CannotBeClosed) {
  EXPECT_EQ(words_of<std::logic_error>([] { chan<int>().close(); }), "close of nil channel");
  EXPECT_EQ(words_of<std::logic_error>([] { sender<int>().close(); }), "close of nil channel");
}

// ---- Handles ------------------------------------------------------------------------------------------------------

TEST(Chan, IsAHandleThatSharesOneChannel) {
  const auto c = make_chan<int>(3);
  chan<int> same = c;
  chan<int> other = make_chan<int>(3);
  EXPECT_TRUE(c);
  EXPECT_EQ(same, c);
  EXPECT_NE(other, c);
  EXPECT_NE(chan<int>(), c);
  EXPECT_EQ(chan<int>(), chan<int>());
  c.send(1);
  EXPECT_EQ(same.size(), 1U);
  EXPECT_EQ(other.size(), 0U);
  other = same;
  EXPECT_EQ(other.recv(), 1);
  const sender<int> in = c;
  const receiver<int> out = other;
  EXPECT_TRUE(in == out);
  in.send(2);
  EXPECT_EQ(in.size(), 1U);
  EXPECT_EQ(out.capacity(), 3U);
  EXPECT_EQ(out.recv(), 2);
  chan<int>& alias = same;
  same = alias;
  EXPECT_EQ(same, c);
  const chan<int> moved = std::move(same);
  EXPECT_EQ(moved, c);
  EXPECT_FALSE(same);  // NOLINT: nil
}

TEST(Chan, RefusesCapacitiesThatNoMemoryCouldHold) {
  EXPECT_EQ(words_of<std::invalid_argument>([] { (void)make_chan<int>(-1); }), "makechan: size out of range");
  EXPECT_EQ(words_of<std::invalid_argument>([] { (void)make_chan<int>(PTRDIFF_MIN); }), "makechan: size out of range");
  EXPECT_EQ(words_of<std::length_error>([] { (void)make_chan<int>(PTRDIFF_MAX); }), "makechan: size out of range");
  EXPECT_EQ(words_of<std::length_error>([] { (void)make_chan<std::array<char, 4096>>(PTRDIFF_MAX / 4096); }),
            "makechan: size out of range");
}

TEST(Chan, GoesWithItsLastHandleAndWithWhatIsLeftInIt) {
  support::run_everywhere([](const stage& where) {
    tracked::count alive;
    {
      const auto c = make_chan<tracked>(8);
      for (int i = 0; i < 8; ++i) c.send(tracked(alive, i));
      for (int i = 0; i < 3; ++i) EXPECT_EQ(c.recv()->number(), i);
      c.send(tracked(alive, 8));  // the ring has come round
      EXPECT_EQ(alive.now(), 6);
    }
    EXPECT_EQ(alive.now(), 0);
    // The last handle is another's.
    {
      support::crew others(where);
      auto c = make_chan<tracked>(4);
      for (int i = 0; i < 4; ++i) c.send(tracked(alive, i));
      others.start([mine = std::move(c)] { EXPECT_EQ(mine.recv()->number(), 0); });
    }
    EXPECT_EQ(alive.now(), 0);
  });
}

TEST(Chan, MayGoAsSoonAsTheCallsOnItHaveReturned) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 60; ++i) {
      auto c = std::make_unique<chan<std::string>>(make_chan<std::string>(i % 3 == 0 ? 1 : 0));
      support::watched waiter;
      support::crew others(where);
      others.start(waiter, [mine = *c] { EXPECT_EQ(mine.recv(), "the only one"); });
      if (i % 2 == 0) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      c->send("the only one");
      c.reset();
    }
  });
}

// ---- Sending and receiving ----------------------------------------------------------------------------------------

TEST(Chan, PassesEveryValueInOrderInEveryForm) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 1, 3, 100}) {
      for (const auto& out : patient_receives<std::string>()) {
        const auto c = make_chan<std::string>(capacity);
        const auto forms = patient_sends<std::string>();
        support::crew others(where);
        others.start([&] {
          for (int i = 0; i < 20; ++i) forms[static_cast<std::size_t>(i) % forms.size()].send(c, std::to_string(i));
          c.close();
        });
        for (int i = 0; i < 20; ++i) EXPECT_EQ(out.receive(c), std::to_string(i)) << out.name << ", " << capacity;
        EXPECT_EQ(out.receive(c), std::nullopt) << out.name;
      }
    }
  });
}

TEST(Chan, WithoutCapacityIsARendezvous) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_sends<int>()) {
      const auto c = make_chan<int>();
      std::atomic<bool> is_through{false};
      support::watched waiter;
      support::crew others(where);
      EXPECT_EQ(c.capacity(), 0U);
      EXPECT_EQ(c.try_send(1), chan_status::would_block);
      others.start(waiter, [&] {
        form.send(c, 2);
        is_through = true;
      });
      EXPECT_TRUE(waiter.comes_to_wait()) << form.name;
      EXPECT_FALSE(is_through) << form.name;
      EXPECT_EQ(c.size(), 0U);
      EXPECT_EQ(c.recv(), 2) << form.name;
    }
  });
}

TEST(Chan, HoldsAsManyValuesAsItHasRoomFor) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>(3);
    EXPECT_EQ(c.capacity(), 3U);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(c.size(), static_cast<std::size_t>(i));
      EXPECT_EQ(c.try_send(i), chan_status::ok);
    }
    EXPECT_EQ(c.try_send(3), chan_status::would_block);
    EXPECT_EQ(c.send_for(3, -1s), chan_status::timeout);
    support::watched waiter;
    support::crew others(where);
    others.start(waiter, [&] { c.send(3); });
    EXPECT_TRUE(waiter.comes_to_wait());
    for (int i = 0; i < 4; ++i) {
      int v = -1;
      EXPECT_EQ(c.try_recv(v), chan_status::ok);
      EXPECT_EQ(v, i);
    }
    int v = -1;
    EXPECT_EQ(c.try_recv(v), chan_status::would_block);
    EXPECT_EQ(c.recv_for(v, -1s), chan_status::timeout);
    EXPECT_EQ(v, -1);
  });
}

// ---- First come, first served -------------------------------------------------------------------------------------

TEST(Chan, ServesWaitingReceiversInTheOrderTheyCame) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 2}) {
      constexpr std::size_t count = 8;
      const auto c = make_chan<std::size_t>(capacity);
      std::array<support::watched, count> waiters;
      std::array<std::optional<std::size_t>, count> got;
      {
        support::crew others(where);
        for (std::size_t i = 0; i < count; ++i) {
          others.start(waiters[i], [&, i] { got[i] = c.recv(); });
          EXPECT_TRUE(waiters[i].comes_to_wait());
        }
        for (std::size_t i = 0; i < count; ++i) c.send(i);
      }
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(got[i], i);
    }
  });
}

TEST(Chan, ServesWaitingSendersInTheOrderTheyCame) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 2}) {
      constexpr int count = 8;
      const auto c = make_chan<int>(capacity);
      std::array<support::watched, count> waiters;
      support::crew others(where);
      for (int i = 0; i < capacity; ++i) c.send(i - static_cast<int>(capacity));
      for (int i = 0; i < count; ++i) {
        auto& waiter = waiters.at(static_cast<std::size_t>(i));
        others.start(waiter, [&, i] { c.send(i); });
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      for (int i = -static_cast<int>(capacity); i < count; ++i) EXPECT_EQ(c.recv(), i);
    }
  });
}

TEST(Chan, LetsNobodyOvertakeAWaitingSender) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>(1);
    support::watched waiter;
    support::crew others(where);
    c.send(1);
    others.start(waiter, [&] { c.send(2); });
    EXPECT_TRUE(waiter.comes_to_wait());
    EXPECT_EQ(c.recv(), 1);
    EXPECT_EQ(c.size(), 1U) << "the one who waited has the slot";
    EXPECT_EQ(c.try_send(3), chan_status::would_block);
    EXPECT_EQ(c.recv(), 2);
  });
}

// ---- Closing ------------------------------------------------------------------------------------------------------

TEST(Chan, GivesWhatIsLeftAfterCloseAndThenClosedForEver) {
  support::run_everywhere([](const stage&) {
    for (const auto& form : patient_receives<int>()) {
      const auto c = make_chan<int>(2);
      c.send(1);
      c.send(2);
      c.close();
      EXPECT_EQ(c.size(), 2U);
      EXPECT_EQ(form.receive(c), 1) << form.name;
      EXPECT_EQ(form.receive(c), 2) << form.name;
      for (int i = 0; i < 3; ++i) EXPECT_EQ(form.receive(c), std::nullopt) << form.name;
      int v = 7;
      EXPECT_EQ(c.try_recv(v), chan_status::closed);
      EXPECT_EQ(c.recv_for(v, -1s), chan_status::closed);
      EXPECT_EQ(v, 7);
    }
  });
}

TEST(Chan, RefusesToSendOnceItIsClosed) {
  support::run_everywhere([](const stage&) {
    for (const std::ptrdiff_t capacity : {0, 2}) {
      const auto c = make_chan<int>(capacity);
      const std::stop_source nobody_asks;
      c.close();
      EXPECT_EQ(words_of<channel_closed>([&] { c.send(1); }), "send on closed channel");
      EXPECT_EQ(words_of<channel_closed>([&] { c.send(1, nobody_asks.get_token()); }), "send on closed channel");
      EXPECT_EQ(c.try_send(1), chan_status::closed);
      EXPECT_EQ(c.send_for(1, 1h), chan_status::closed);
      EXPECT_EQ(c.send_until(1, std::chrono::steady_clock::time_point()), chan_status::closed);
      EXPECT_EQ(words_of<channel_closed>([&] { c.close(); }), "close of closed channel");
      EXPECT_EQ(words_of<channel_closed>([&] { sender<int>(c).close(); }), "close of closed channel");
      EXPECT_EQ(c.recv(), std::nullopt);
    }
  });
}

TEST(Chan, WakesEverybodyWhenItIsClosed) {
  support::run_everywhere([](const stage& where) {
    const auto empty = make_chan<int>();
    const auto full = make_chan<std::string>(1);
    full.send("kept");
    std::vector<support::watched> waiters(9);
    std::size_t next = 0;
    support::crew others(where);
    const auto start = [&](auto f) {
      others.start(waiters[next], f);
      EXPECT_TRUE(waiters[next++].comes_to_wait());
    };
    std::stop_source nobody_asks;
    for (int i = 0; i < 2; ++i) start([&] { EXPECT_EQ(empty.recv(), std::nullopt); });
    start([&] { EXPECT_EQ(empty.recv(nobody_asks.get_token()), std::nullopt); });
    start([&] {
      int v = 0;
      EXPECT_EQ(empty.recv_for(v, 1h), chan_status::closed);
    });
    for (int i = 0; i < 2; ++i) start([&] { EXPECT_THROW(full.send("lost"), channel_closed); });
    start([&] { EXPECT_THROW(full.send("lost", nobody_asks.get_token()), channel_closed); });
    std::string untouched = "a long string that is not lost when nobody receives it";
    start([&] { EXPECT_EQ(full.send_for(std::move(untouched), 1h), chan_status::closed); });
    start([&] { EXPECT_THROW(full.send("lost"), channel_closed); });
    empty.close();
    full.close();
    others.join();
    EXPECT_EQ(untouched, "a long string that is not lost when nobody receives it");
    EXPECT_EQ(full.recv(), "kept");
    EXPECT_EQ(full.recv(), std::nullopt);
  });
}

// ---- Limits -------------------------------------------------------------------------------------------------------

TEST(Chan, GivesUpWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage& where) {
    const auto empty = make_chan<int>();
    const auto full = make_chan<int>(1);
    full.send(1);
    support::crew others(where);
    for (int i = 0; i < 2; ++i) {
      others.start([&] {
        int v = 5;
        const auto before = std::chrono::steady_clock::now();
        EXPECT_EQ(empty.recv_for(v, 3ms), chan_status::timeout);
        EXPECT_EQ(full.send_for(2, 3ms), chan_status::timeout);
        EXPECT_GE(std::chrono::steady_clock::now() - before, 6ms);
        const auto when = std::chrono::steady_clock::now() + 2ms;
        EXPECT_EQ(empty.recv_until(v, when), chan_status::timeout);
        EXPECT_GE(std::chrono::steady_clock::now(), when);
        EXPECT_EQ(full.send_until(2, when), chan_status::timeout);
        EXPECT_EQ(v, 5);
      });
    }
    others.join();
    EXPECT_EQ(empty.try_send(1), chan_status::would_block) << "somebody was left in the queue";
    EXPECT_EQ(full.recv(), 1);
    EXPECT_EQ(full.size(), 0U);
  });
}

TEST(Chan, DoesNotTryIfTheStopWasRequestedBefore) {
  support::run_everywhere([](const stage&) {
    const auto c = make_chan<int>(1);
    std::stop_source source;
    source.request_stop();
    EXPECT_FALSE(c.send(1, source.get_token()));
    EXPECT_EQ(c.size(), 0U);
    c.send(2);
    int v = 0;
    EXPECT_EQ(c.recv(source.get_token()), std::nullopt);
    EXPECT_EQ(c.recv(v, source.get_token()), chan_status::would_block);
    EXPECT_EQ(c.size(), 1U);
  });
}

TEST(Chan, GivesUpWhenAStopIsRequestedAndServesThoseBehind) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>();
    std::stop_source source;
    std::array<support::watched, 4> waiters;
    std::optional<int> got;
    support::crew others(where);
    others.start(waiters[0], [&] { EXPECT_EQ(c.recv(source.get_token()), std::nullopt); });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] { got = c.recv(); });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    others.start(waiters[2], [&] {
      int v = 0;
      EXPECT_EQ(c.recv(v, source.get_token()), chan_status::would_block);
    });
    EXPECT_TRUE(waiters[2].comes_to_wait());
    source.request_stop();
    support::await([&] { return waiters[0].has_left() && waiters[2].has_left(); });
    EXPECT_TRUE(waiters[1].waits());
    c.send(3);
    others.join();
    EXPECT_EQ(got, 3);

    std::stop_source another;
    others.start(waiters[3], [&] { EXPECT_FALSE(c.send(4, another.get_token())); });
    EXPECT_TRUE(waiters[3].comes_to_wait());
    another.request_stop();
    others.join();
    int v = 0;
    EXPECT_EQ(c.try_recv(v), chan_status::would_block);
  });
}

// Either the value has gone over or it is still the sender's, never both or neither.
TEST(Chan, NeitherLosesNorDoublesAValueWhenAStopMeetsTheTransfer) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t rounds = 30;
    const auto c = make_chan<std::unique_ptr<int>>();
    std::vector<std::stop_source> sources(2 * rounds);
    support::start_line start(4);
    support::start_line finish(4);
    std::atomic<int> received{0};
    std::atomic<int> sent{0};
    support::crew others(where);
    const auto each_round = [&](auto f) {
      return [&, f] {
        for (std::size_t i = 0; i < rounds; ++i) {
          start.wait();
          f(i);
          finish.wait();
        }
      };
    };
    others.start(each_round([&](std::size_t i) {
      auto value = std::make_unique<int>(static_cast<int>(i));
      const bool is_sent = c.send(std::move(value), sources[2 * i].get_token());
      EXPECT_EQ(value == nullptr, is_sent);  // NOLINT: moved from only if sent
      if (is_sent) ++sent;
    }));
    others.start(each_round([&](std::size_t i) {
      if (const auto value = c.recv(sources[2 * i + 1].get_token())) {
        EXPECT_EQ(**value, static_cast<int>(i));
        ++received;
      }
    }));
    others.start(each_round([&](std::size_t i) { sources[2 * i + i % 2].request_stop(); }));
    for (std::size_t i = 0; i < rounds; ++i) {
      start.wait();
      // Whoever was not stopped is, unless the two have met.
      support::dice(i).dawdle();
      sources[2 * i + (i + 1) % 2].request_stop();
      finish.wait();
    }
    others.join();
    EXPECT_EQ(sent, received);
  });
}

// ---- Ranges -------------------------------------------------------------------------------------------------------

TEST(Chan, IsARangeOfWhatItGivesUntilItIsClosed) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<std::unique_ptr<int>>(2);
    support::crew others(where);
    others.start([out = sender<std::unique_ptr<int>>(c)] {
      for (int i = 0; i < 10; ++i) out.send(std::make_unique<int>(i));
      out.close();
    });
    int expected = 0;
    for (std::unique_ptr<int>& v : c) {
      EXPECT_EQ(*v, expected++);
      const std::unique_ptr<int> taken = std::move(v);
    }
    EXPECT_EQ(expected, 10);
    for (const auto& v : receiver<std::unique_ptr<int>>(c)) FAIL() << *v;
  });
}

TEST(Chan, OutlivesItsHandlesWhileItIsIterated) {
  auto c = make_chan<int>(3);
  c.send(1);
  c.send(2);
  c.close();
  int sum = 0;
  for (const int v : c) {
    c = chan<int>();
    sum += v;
  }
  EXPECT_EQ(sum, 3);
}

// ---- Values -------------------------------------------------------------------------------------------------------

namespace {

struct nothing {};
struct three_bytes {
  char a, b, c;
};
struct alignas(256) wide {
  int number;
};
// Neither assignable nor made from nothing.
struct fixed {
  explicit fixed(int n) : number(n) {}
  const int number;
};
struct fixed_and_heavy {
  explicit fixed_and_heavy(int n) : number(n), words(std::to_string(n)) {}
  const int number;
  std::string words;
};

template <class T, class Make, class Check>
void passes(const stage& where, Make make, Check check) {
  for (const std::ptrdiff_t capacity : {0, 1, 4}) {
    const auto c = make_chan<T>(capacity);
    support::crew others(where);
    others.start([&] {
      for (int i = 0; i < 9; ++i) c.send(make(i));
      c.close();
    });
    for (int i = 0; i < 9; ++i) {
      const std::optional<T> v = c.recv();
      ASSERT_TRUE(v.has_value());
      check(*v, i);
    }
    EXPECT_FALSE(c.recv().has_value());
  }
}

}  // namespace

TEST(Chan, PassesValuesOfEverySize) {
  support::run_everywhere([](const stage& where) {
    passes<char>(
        where, [](int i) { return static_cast<char>(i); }, [](char v, int i) { EXPECT_EQ(v, i); });
    passes<bool>(
        where, [](int i) { return i % 2 == 0; }, [](bool v, int i) { EXPECT_EQ(v, i % 2 == 0); });
    passes<nothing>(
        where, [](int) { return nothing(); }, [](nothing, int) {});
    passes<double>(
        where, [](int i) { return i / 2.0; }, [](double v, int i) { EXPECT_EQ(v, i / 2.0); });
    passes<three_bytes>(
        where,
        [](int i) {
          return three_bytes{'a', static_cast<char>(i), 'c'};
        },
        [](three_bytes v, int i) {
          EXPECT_EQ(v.a, 'a');
          EXPECT_EQ(v.b, i);
          EXPECT_EQ(v.c, 'c');
        });
    passes<std::array<long, 9>>(
        where, [](int i) { return std::array<long, 9>{i, 1, 2, 3, 4, 5, 6, 7, -i}; },
        [](const std::array<long, 9>& v, int i) {
          EXPECT_EQ(v.front(), i);
          EXPECT_EQ(v.back(), -i);
        });
    passes<std::string>(
        where, [](int i) { return std::string(50, static_cast<char>('a' + i)); },
        [](const std::string& v, int i) { EXPECT_EQ(v, std::string(50, static_cast<char>('a' + i))); });
    passes<fixed>(
        where, [](int i) { return fixed(i); }, [](const fixed& v, int i) { EXPECT_EQ(v.number, i); });
    passes<fixed_and_heavy>(
        where, [](int i) { return fixed_and_heavy(i); },
        [](const fixed_and_heavy& v, int i) { EXPECT_EQ(v.words, std::to_string(i)); });
    passes<std::optional<int>>(
        where, [](int i) { return i % 2 == 0 ? std::optional<int>(i) : std::nullopt; },
        [](const std::optional<int>& v, int i) { EXPECT_EQ(v.has_value(), i % 2 == 0); });
  });
}

TEST(Chan, AlignsItsValues) {
  support::run_everywhere([](const stage& where) {
    passes<wide>(
        where, [](int i) { return wide{i}; },
        [](const wide& v, int i) {
          EXPECT_EQ(v.number, i);
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&v) % alignof(wide), 0U);
        });
    passes<support::aligned>(
        where, [](int i) { return support::aligned(i); },
        [](const support::aligned& v, int i) { EXPECT_EQ(v.number(), i); });
  });
}

TEST(Chan, MovesFromAValueOnlyIfItSendsIt) {
  support::run_everywhere([](const stage&) {
    std::stop_source source;
    source.request_stop();
    for (const std::ptrdiff_t capacity : {0, 1}) {
      const auto c = make_chan<std::unique_ptr<int>>(capacity);
      if (capacity != 0) c.send(nullptr);
      auto mine = std::make_unique<int>(7);
      EXPECT_EQ(c.try_send(std::move(mine)), chan_status::would_block);
      EXPECT_EQ(c.send_for(std::move(mine), 1us), chan_status::timeout);
      EXPECT_EQ(c.send_until(std::move(mine), std::chrono::steady_clock::now()), chan_status::timeout);
      EXPECT_FALSE(c.send(std::move(mine), source.get_token()));
      c.close();
      EXPECT_THROW(c.send(std::move(mine)), channel_closed);
      EXPECT_EQ(c.try_send(std::move(mine)), chan_status::closed);
      ASSERT_NE(mine, nullptr);
      EXPECT_EQ(*mine, 7);
    }
  });
}

TEST(Chan, MovesAndNeverCopies) {
  tracked::count alive;
  const auto c = make_chan<tracked>(1);
  c.send(tracked(alive, 1));
  tracked v(alive, 0);
  EXPECT_EQ(c.try_recv(v), chan_status::ok);
  EXPECT_EQ(v.number(), 1);
  EXPECT_EQ(alive.now(), 1);
  static_assert(!std::is_copy_constructible_v<tracked>);
}

// ---- Moves that throw ---------------------------------------------------------------------------------------------

using support::fragile;

TEST(ChanOfFragileValues, KeepsTheValueWithTheSenderIfItCannotBeBuffered) {
  const auto c = make_chan<fragile>(2);
  fragile v(1);
  fragile::arm(1);
  EXPECT_THROW(c.send(std::move(v)), fragile::broken);
  EXPECT_EQ(c.size(), 0U);
  fragile::arm(1);
  EXPECT_THROW(c.try_send(std::move(v)), fragile::broken);
  c.send(std::move(v));
  EXPECT_EQ(c.size(), 1U);
  EXPECT_EQ(c.recv()->number(), 1);
}

TEST(ChanOfFragileValues, KeepsTheValueInTheBufferIfItCannotBeReceived) {
  const auto c = make_chan<fragile>(2);
  c.send(fragile(1));
  c.send(fragile(2));
  fragile::arm(1);
  EXPECT_THROW(c.recv(), fragile::broken);
  EXPECT_EQ(c.size(), 2U);
  fragile target(0);
  fragile::arm(1);
  EXPECT_THROW(c.try_recv(target), fragile::broken);
  EXPECT_EQ(target.number(), 0);
  EXPECT_EQ(c.recv()->number(), 1);
  EXPECT_EQ(c.recv()->number(), 2);
}

TEST(ChanOfFragileValues, LeavesTheReceiverWaitingIfTheSenderCannotHandOver) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 1}) {
      const auto c = make_chan<fragile>(capacity);
      support::watched waiter;
      support::crew others(where);
      others.start(waiter, [&] {
        auto v = c.recv();
        ASSERT_TRUE(v.has_value());
        EXPECT_EQ(v->number(), 1);
      });
      EXPECT_TRUE(waiter.comes_to_wait());
      fragile v(1);
      fragile::arm(1);
      EXPECT_THROW(c.send(std::move(v)), fragile::broken);
      fragile::arm(1);
      EXPECT_THROW(c.try_send(std::move(v)), fragile::broken);
      EXPECT_TRUE(waiter.waits());
      c.send(std::move(v));
    }
  });
}

TEST(ChanOfFragileValues, LeavesTheSenderWaitingIfTheReceiverCannotTakeOver) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<fragile>();
    support::watched waiter;
    support::crew others(where);
    others.start(waiter, [&] { c.send(fragile(1)); });
    EXPECT_TRUE(waiter.comes_to_wait());
    fragile::arm(1);
    EXPECT_THROW(c.recv(), fragile::broken);
    fragile target(0);
    fragile::arm(1);
    EXPECT_THROW(c.try_recv(target), fragile::broken);
    EXPECT_TRUE(waiter.waits());
    EXPECT_EQ(c.recv()->number(), 1);
  });
}

// The receiver has its value; the one who waits to send finds out, and the next one has the slot.
TEST(ChanOfFragileValues, TellsTheWaitingSenderIfItsValueCannotBeBuffered) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<fragile>(1);
    std::array<support::watched, 2> waiters;
    support::crew others(where);
    c.send(fragile(1));
    others.start(waiters[0], [&] {
      fragile v(2);
      EXPECT_THROW(c.send(std::move(v)), fragile::broken);
      EXPECT_EQ(v.number(), 2);  // NOLINT: not moved from
    });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] { c.send(fragile(3)); });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    fragile target(0);
    fragile::arm(2);  // the first is the receiver's own
    EXPECT_EQ(c.recv(target), chan_status::ok);
    EXPECT_EQ(target.number(), 1);
    EXPECT_EQ(c.size(), 1U);
    others.join();
    EXPECT_EQ(c.recv()->number(), 3);
  });
}

// ---- Order --------------------------------------------------------------------------------------------------------

// Plain data on both sides; ThreadSanitizer knows whether the channel orders it.
TEST(Chan, ShowsTheReceiverWhatWasDoneBeforeTheSend) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 1, 5}) {
      const auto c = make_chan<int*>(capacity);
      support::crew others(where);
      others.start([&] {
        for (int i = 0; i < 40; ++i) c.send(new int(i));
        c.close();
      });
      int expected = 0;
      for (const int* const v : c) {
        EXPECT_EQ(*v, expected++);
        delete v;
      }
    }
  });
}

TEST(Chan, ShowsTheSenderWhatWasDoneBeforeTheReceiveThatMakesRoom) {
  support::run_everywhere([](const stage& where) {
    for (const int capacity : {0, 1, 3}) {
      const auto c = make_chan<int>(capacity);
      std::array<int, 40> seen{};
      support::crew others(where);
      others.start([&] {
        for (int i = 0; i < 40; ++i) {
          seen.at(static_cast<std::size_t>(i)) = i + 1;
          EXPECT_EQ(c.recv(), i);
        }
      });
      for (int i = 0; i < 40; ++i) {
        c.send(i);
        if (i >= capacity) {
          EXPECT_EQ(seen.at(static_cast<std::size_t>(i - capacity)), i - capacity + 1);
        }
      }
    }
  });
}

TEST(Chan, ShowsWhatWasDoneBeforeTheClose) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 20; ++i) {
      const auto c = make_chan<int>(i % 2);
      int value = 0;
      support::watched waiter;
      support::crew others(where);
      others.start(waiter, [&] {
        EXPECT_EQ(c.recv(), std::nullopt);
        EXPECT_EQ(value, 1);
      });
      if (i % 4 < 2) {
        EXPECT_TRUE(waiter.comes_to_wait());
      }
      value = 1;
      c.close();
    }
  });
}

// A channel as a semaphore: what was done inside by one is seen by the next that gets its place.
TEST(Chan, LimitsHowManyAreInside) {
  support::run_everywhere([](const stage& where) {
    const auto inside = make_chan<char>(1);
    int sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([&] {
          for (int k = 0; k < 50; ++k) {
            inside.send('x');
            ++sum;
            inside.recv();
          }
        });
      }
    }
    EXPECT_EQ(sum, 200);
  });
}
