#include <turnkey/select.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "channel_values.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using support::fragile;
using support::stage;
using turnkey::chan;
using turnkey::chan_status;
using turnkey::channel_closed;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;
using turnkey::on_stop;
using turnkey::on_timeout;
using turnkey::otherwise;
using turnkey::receiver;
using turnkey::select;
using turnkey::select_case;
using turnkey::sender;

namespace {

// Nothing is in it, and nobody waits for it.
bool is_empty(const chan<int>& c) {
  int v = 0;
  return c.try_recv(v) == chan_status::would_block && c.try_send(0) == chan_status::would_block;
}

}  // namespace

// ---- One look -----------------------------------------------------------------------------------------------------

TEST(Select, RunsTheCaseThatIsReadyAndReturnsItsIndex) {
  support::run_everywhere([](const stage&) {
    const auto numbers = make_chan<int>(1);
    const auto words = make_chan<std::string>(1);
    std::string ran;
    words.send("first");
    EXPECT_EQ(select(on_recv(numbers, [&](std::optional<int>) { ran = "numbers"; }),
                     on_recv(words, [&](std::optional<std::string> v) { ran = v.value(); })),
              1U);
    EXPECT_EQ(ran, "first");
    words.send("full");
    EXPECT_EQ(select(on_send(words, "second", [&] { ran = "words"; }), on_send(numbers, 7, [&] { ran = "sent"; })), 1U);
    EXPECT_EQ(ran, "sent");
    EXPECT_EQ(numbers.recv(), 7);
    EXPECT_EQ(words.recv(), "full");
  });
}

TEST(Select, WithOtherwiseNeverWaits) {
  support::run_everywhere([](const stage&) {
    const auto a = make_chan<int>();
    const auto b = make_chan<int>(1);
    int ran = 0;
    EXPECT_EQ(select(on_recv(a), otherwise([&] { ++ran; })), 1U);
    EXPECT_EQ(select(on_send(a, 1), otherwise([&] { ++ran; })), 1U);
    EXPECT_EQ(select(on_recv(a), otherwise([&] { ++ran; }), on_recv(b), on_send(a, 1)), 1U);
    EXPECT_EQ(select(otherwise([&] { ++ran; })), 0U);
    EXPECT_EQ(ran, 4);
    b.send(5);
    EXPECT_EQ(select(otherwise([&] { ++ran; }), on_recv(b, [&](std::optional<int> v) { ran += *v; })), 1U);
    EXPECT_EQ(ran, 9);
    EXPECT_TRUE(is_empty(a));
  });
}

TEST(Select, TakesHandlersOfEveryForm) {
  const auto c = make_chan<std::unique_ptr<int>>(8);
  int sum = 0;
  for (int i = 1; i <= 5; ++i) c.send(std::make_unique<int>(i));
  select(on_recv(c));
  select(on_recv(c, [&] { sum += 100; }));
  select(on_recv(c, [&](auto v) { sum += *v.value(); }));
  select(on_recv(c, [&](const std::optional<std::unique_ptr<int>>& v) { sum += *v.value(); }));
  select(on_recv(c, [&](std::optional<std::unique_ptr<int>>&& v) { sum += *v.value(); }));
  EXPECT_EQ(sum, 112);
  EXPECT_EQ(select(on_send(c, nullptr)), 0U);
  EXPECT_EQ(select(on_send(sender<std::unique_ptr<int>>(c), nullptr, [&] { ++sum; })), 0U);
  EXPECT_EQ(select(on_recv(receiver<std::unique_ptr<int>>(c), [&] { ++sum; })), 0U);
  EXPECT_EQ(sum, 114);
}

TEST(Select, OfANilChannelIsNeverReady) {
  support::run_everywhere([](const stage&) {
    const chan<int> nil;
    const auto c = make_chan<int>(1);
    EXPECT_EQ(select(on_recv(nil), on_send(nil, 1), otherwise()), 2U);
    EXPECT_EQ(select(on_recv(nil), on_timeout(100us), on_send(nil, 1)), 1U);
    EXPECT_EQ(select(on_recv(nil), on_send(c, 1), on_send(nil, 1)), 1U);
    EXPECT_EQ(select(on_recv(nil), on_recv(c), on_send(nil, 1)), 1U);
  });
}

TEST(Select, OfAClosedChannelIsAlwaysReady) {
  support::run_everywhere([](const stage&) {
    const auto closed = make_chan<int>(1);
    const auto idle = make_chan<int>();
    closed.send(3);
    closed.close();
    std::optional<int> got;
    const auto keep = [&](std::optional<int> v) { got = v; };
    EXPECT_EQ(select(on_recv(idle), on_recv(closed, keep), otherwise()), 1U);
    EXPECT_EQ(got, 3);
    EXPECT_EQ(select(on_recv(idle), on_recv(closed, keep), otherwise()), 1U);
    EXPECT_EQ(got, std::nullopt);
    bool ran = false;
    EXPECT_THROW(select(on_recv(idle), on_send(closed, 1, [&] { ran = true; })), channel_closed);
    EXPECT_THROW(select(on_send(closed, 1), otherwise([&] { ran = true; })), channel_closed);
    EXPECT_FALSE(ran);
  });
}

// ---- Choice -------------------------------------------------------------------------------------------------------

// 10,000 tosses; 500 is ten times the standard deviation.
TEST(Select, PicksEachReadyCaseAsOftenAsTheOthers) {
  support::run_everywhere([](const stage&) {
    const auto closed = make_chan<int>();
    const auto other = make_chan<std::string>();
    const auto never = make_chan<int>();
    closed.close();
    other.close();
    std::array<int, 7> times{};
    for (int i = 0; i < 10'000; ++i) {
      ++times[select(on_recv(never), on_recv(closed), on_recv(never), on_recv(never), on_recv(other), on_recv(closed),
                     on_recv(other))];
    }
    for (const std::size_t ready : {1U, 4U, 5U, 6U}) EXPECT_NEAR(times[ready], 2500, 450) << ready;
    std::vector<select_case> many;
    for (int i = 0; i < 10; ++i) many.emplace_back(on_recv(i % 2 == 0 ? closed : never));
    std::array<int, 10> each{};
    for (int i = 0; i < 10'000; ++i) ++each[select(many)];
    for (std::size_t i = 0; i < 10; ++i) EXPECT_NEAR(each[i], i % 2 == 0 ? 2000 : 0, 400) << i;
  });
}

TEST(Select, RunsExactlyOneCaseAlthoughAllBecomeReady) {
  support::run_everywhere([](const stage& where) {
    constexpr int rounds = 100;
    const auto a = make_chan<int>();
    const auto b = make_chan<int>();
    std::atomic<int> sent{0};
    int received = 0;
    support::crew others(where);
    for (const auto& c : {a, b}) {
      others.start([&, c] {
        for (int i = 0; i < rounds; ++i) {
          c.send(i);
          ++sent;
        }
      });
    }
    for (int i = 0; i < 2 * rounds; ++i) {
      select(on_recv(a, [&](std::optional<int>) { ++received; }), on_recv(b, [&](std::optional<int>) { ++received; }));
    }
    others.join();
    EXPECT_EQ(received, 2 * rounds);
    EXPECT_EQ(sent, 2 * rounds);
  });
}

// ---- Waiting ------------------------------------------------------------------------------------------------------

TEST(Select, WaitsForWhicheverComesFirst) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 1}) {
      const auto in = make_chan<int>(capacity);
      const auto other_in = make_chan<std::string>(capacity);
      const auto out = make_chan<std::unique_ptr<int>>();
      const auto closing = make_chan<int>(capacity);
      std::array<std::size_t, 4> chosen{};
      for (std::size_t which = 0; which < 4; ++which) {
        support::watched waiter;
        support::crew others(where);
        others.start(waiter, [&] {
          chosen.at(which) = select(on_recv(in, [](std::optional<int> v) { EXPECT_EQ(v, 1); }),
                                    on_recv(other_in, [](std::optional<std::string> v) { EXPECT_EQ(v, "two"); }),
                                    on_send(out, std::make_unique<int>(3)),
                                    on_recv(closing, [](std::optional<int> v) { EXPECT_EQ(v, std::nullopt); }));
        });
        EXPECT_TRUE(waiter.comes_to_wait());
        if (which == 0) in.send(1);
        if (which == 1) other_in.send("two");
        if (which == 2) {
          EXPECT_EQ(**out.recv(), 3);
        }
        if (which == 3) closing.close();
      }
      for (std::size_t which = 0; which < 4; ++which) EXPECT_EQ(chosen.at(which), which);
      EXPECT_TRUE(in.size() == 0 && other_in.size() == 0);
      std::unique_ptr<int> v;
      EXPECT_EQ(out.try_recv(v), chan_status::would_block) << "somebody was left in the queue";
    }
  });
}

TEST(Select, ThatWaitsToSendThrowsWhenTheChannelIsClosed) {
  support::run_everywhere([](const stage& where) {
    const auto full = make_chan<int>();
    const auto idle = make_chan<int>();
    support::watched waiter;
    support::crew others(where);
    others.start(waiter, [&] {
      bool ran = false;
      EXPECT_THROW(select(on_recv(idle), on_send(full, 1, [&] { ran = true; })), channel_closed);
      EXPECT_FALSE(ran);
    });
    EXPECT_TRUE(waiter.comes_to_wait());
    full.close();
    others.join();
    EXPECT_TRUE(is_empty(idle));
  });
}

TEST(Select, LeavesNobodyInTheQueuesItHasLeft) {
  support::run_everywhere([](const stage& where) {
    const auto a = make_chan<int>();
    const auto b = make_chan<int>();
    const auto c = make_chan<int>();
    std::array<support::watched, 3> waiters;
    std::array<std::optional<int>, 2> got;
    support::crew others(where);
    others.start(waiters[0], [&] { got[0] = a.recv(); });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] { EXPECT_EQ(select(on_recv(a), on_recv(b), on_send(c, 1)), 1U); });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    others.start(waiters[2], [&] { got[1] = a.recv(); });
    EXPECT_TRUE(waiters[2].comes_to_wait());
    b.send(0);
    support::await([&] { return waiters[1].has_left(); });
    EXPECT_TRUE(is_empty(b));
    EXPECT_TRUE(is_empty(c));
    a.send(10);
    a.send(11);
    others.join();
    EXPECT_EQ(got[0], 10);
    EXPECT_EQ(got[1], 11);
    EXPECT_TRUE(is_empty(a));
  });
}

TEST(Select, KeepsItsPlaceInEveryQueue) {
  support::run_everywhere([](const stage& where) {
    const auto a = make_chan<int>();
    const auto b = make_chan<int>();
    std::array<support::watched, 3> waiters;
    std::array<int, 3> got{};
    support::crew others(where);
    for (std::size_t i = 0; i < 3; ++i) {
      others.start(waiters[i], [&, i] {
        const auto keep = [&, i](std::optional<int> v) { got[i] = v.value_or(-1); };
        if (i == 1) {
          select(on_recv(a, keep), on_recv(b, keep));
        } else {
          got[i] = a.recv().value_or(-1);
        }
      });
      EXPECT_TRUE(waiters[i].comes_to_wait());
    }
    for (int i = 1; i <= 3; ++i) a.send(i);
    others.join();
    EXPECT_EQ(got, (std::array<int, 3>{1, 2, 3}));
  });
}

TEST(Select, NeverMeetsItself) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>();
    EXPECT_EQ(select(on_send(c, 1), on_recv(c), on_timeout(300us)), 2U);
    EXPECT_EQ(select(on_recv(c), on_send(c, 1), otherwise()), 2U);
    // Two of them meet each other.
    std::array<std::size_t, 2> chosen{};
    {
      support::crew others(where);
      for (auto& mine : chosen) {
        others.start([&] { mine = select(on_send(c, 7), on_recv(c, [](std::optional<int> v) { EXPECT_EQ(v, 7); })); });
      }
    }
    EXPECT_EQ(chosen[0] + chosen[1], 1U);
    EXPECT_TRUE(is_empty(c));
  });
}

TEST(Select, MayListAChannelTwice) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>();
    const auto d = make_chan<int>();
    std::array<support::watched, 2> waiters;
    support::crew others(where);
    others.start(waiters[0], [&] { EXPECT_EQ(select(on_recv(c), on_recv(c), on_recv(d)), 2U); });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] { EXPECT_EQ(c.recv(), 5); });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    d.send(1);
    support::await([&] { return waiters[0].has_left(); });
    c.send(5);
    others.join();
    EXPECT_TRUE(is_empty(c));
  });
}

// ---- Limits -------------------------------------------------------------------------------------------------------

TEST(Select, GivesUpWhenTheTimeIsOverAndNotBefore) {
  support::run_everywhere([](const stage&) {
    const auto idle = make_chan<int>();
    int ran = 0;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(select(on_recv(idle), on_timeout(3ms, [&] { ++ran; })), 1U);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
    const auto when = std::chrono::steady_clock::now() + 2ms;
    EXPECT_EQ(select(on_timeout(when, [&] { ++ran; }), on_send(idle, 1)), 0U);
    EXPECT_GE(std::chrono::steady_clock::now(), when);
    EXPECT_EQ(select(on_timeout(1ms, [&] { ++ran; })), 0U);
    EXPECT_EQ(select(on_timeout(1h), on_recv(idle), on_timeout(1ms, [&] { ++ran; }), on_timeout(2h)), 2U);
    EXPECT_EQ(ran, 4);
    EXPECT_TRUE(is_empty(idle));
  });
}

TEST(Select, TriesOnceWhenTheTimeIsOver) {
  const auto c = make_chan<int>(1);
  c.send(1);
  EXPECT_EQ(select(on_timeout(-1h), on_recv(c)), 1U);
  EXPECT_EQ(select(on_timeout(-1h), on_recv(c)), 0U);
  EXPECT_EQ(select(on_timeout(std::chrono::system_clock::now() - 1h), on_recv(c)), 0U);
}

TEST(Select, EndsWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    const auto idle = make_chan<int>();
    std::stop_source source;
    support::watched waiter;
    std::atomic<int> ran{0};
    support::crew others(where);
    others.start(waiter, [&] {
      EXPECT_EQ(select(on_recv(idle), on_stop(source.get_token(), [&] { ++ran; }), on_timeout(1h)), 1U);
    });
    EXPECT_TRUE(waiter.comes_to_wait());
    source.request_stop();
    others.join();
    const auto ready = make_chan<int>(1);
    EXPECT_EQ(select(on_send(ready, 1), on_stop(source.get_token(), [&] { ++ran; })), 1U) << "it was requested before";
    EXPECT_EQ(ready.size(), 0U);
    EXPECT_EQ(select(on_send(ready, 1), on_stop(std::stop_token(), [&] { ++ran; })), 0U);
    EXPECT_EQ(ran, 2);
    EXPECT_TRUE(is_empty(idle));
  });
}

// ---- Handlers -----------------------------------------------------------------------------------------------------

TEST(Select, RunsItsHandlersWithAllChannelsFree) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>(1);
    const auto d = make_chan<int>();
    support::crew others(where);
    others.start([&] { EXPECT_EQ(d.recv(), 2); });
    int inner = 0;
    c.send(1);
    select(on_recv(c,
                   [&](std::optional<int> v) {
                     EXPECT_EQ(v, 1);
                     d.send(2);  // waits
                     c.send(3);
                     select(on_recv(c, [&](std::optional<int> again) { inner = *again; }), on_recv(d));
                     c.close();
                   }),
           on_recv(d));
    EXPECT_EQ(inner, 3);
  });
}

TEST(Select, LetsAHandlerDropTheLastHandleOfItsChannel) {
  support::run_everywhere([](const stage&) {
    const std::string text(100, 'x');
    auto ready = make_chan<std::string>(1);
    ready.send(text);
    std::string got;
    select(on_recv(ready, [&](std::optional<std::string> v) {
      ready = {};
      got = *v;
    }));
    EXPECT_EQ(got, text);

    // Queued for two cases of it, and closed by another meanwhile.
    auto waited_for = make_chan<std::string>();
    turnkey::go([c = sender<std::string>(waited_for)] { c.close(); });
    bool is_closed = false;
    const auto end = [&](std::optional<std::string> v) {
      waited_for = {};
      is_closed = !v.has_value();
    };
    select(on_recv(waited_for, end), on_recv(waited_for, end));
    EXPECT_TRUE(is_closed);
  });
}

TEST(Select, LeavesEverythingInOrderWhenAHandlerThrows) {
  support::run_everywhere([](const stage& where) {
    const auto a = make_chan<int>();
    const auto b = make_chan<int>();
    for (const bool waits : {false, true}) {
      support::watched waiter;
      support::crew others(where);
      if (!waits) {
        support::watched sending;
        others.start(sending, [&] { a.send(1); });
        EXPECT_TRUE(sending.comes_to_wait());
        EXPECT_THROW(select(on_recv(a, [](std::optional<int>) { throw std::runtime_error("handler"); }), on_recv(b)),
                     std::runtime_error);
        others.join();
      } else {
        others.start(waiter, [&] {
          EXPECT_THROW(select(on_recv(a, [](std::optional<int>) { throw std::runtime_error("handler"); }), on_recv(b)),
                       std::runtime_error);
        });
        EXPECT_TRUE(waiter.comes_to_wait());
        a.send(1);
      }
    }
    EXPECT_TRUE(is_empty(a));
    EXPECT_TRUE(is_empty(b));
  });
}

TEST(Select, MovesFromAValueOnlyIfItsCaseIsChosen) {
  const auto full = make_chan<std::unique_ptr<int>>();
  const auto open = make_chan<std::unique_ptr<int>>(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_EQ(select(on_send(full, std::move(first)), otherwise()), 1U);
  EXPECT_EQ(select(on_send(full, std::move(first)), on_timeout(1us)), 1U);
  EXPECT_EQ(select(on_send(full, std::move(first)), on_send(open, std::move(second))), 1U);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(second, nullptr);  // NOLINT: moved from
  EXPECT_EQ(**open.recv(), 2);
}

TEST(Select, CopiesAValueThatIsNotMoved) {
  const auto c = make_chan<std::string>(2);
  const std::string words = "words that are too long to be kept without an allocation";
  select(on_send(c, words), otherwise());
  std::string mine = words;
  select(on_send(c, mine), otherwise());
  EXPECT_EQ(mine, words);
  EXPECT_EQ(c.recv(), words);
  EXPECT_EQ(c.recv(), words);
}

// ---- Ranges of cases ----------------------------------------------------------------------------------------------

TEST(Select, TakesARangeOfCases) {
  support::run_everywhere([](const stage& where) {
    constexpr int count = 20;
    std::vector<chan<int>> all;
    std::vector<select_case> cases;
    std::vector<int> got(count, 0);
    for (int i = 0; i < count; ++i) {
      const auto c = make_chan<int>(i % 3);
      all.push_back(c);
      cases.emplace_back(on_recv(c, [&got, i](std::optional<int> v) { got[static_cast<std::size_t>(i)] += *v; }));
    }
    support::crew others(where);
    for (int i = 0; i < count; ++i) {
      others.start([c = all[static_cast<std::size_t>(i)], i] {
        for (int k = 0; k < 5; ++k) c.send(i);
      });
    }
    for (int i = 0; i < 5 * count; ++i) select(cases);
    others.join();
    for (int i = 0; i < count; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], 5 * i);
    cases.emplace_back(otherwise());
    EXPECT_EQ(select(cases), static_cast<std::size_t>(count));
  });
}

TEST(Select, KeepsTheChannelsAndValuesOfStoredCases) {
  const auto out = make_chan<std::unique_ptr<int>>(1);
  std::vector<select_case> cases;
  {
    const auto gone = make_chan<std::string>(1);
    gone.send("still here");
    auto value = std::make_unique<int>(5);
    cases.push_back(on_recv(gone, [](std::optional<std::string> v) { EXPECT_EQ(v, "still here"); }));
    cases.push_back(on_send(out, std::move(value)));
    EXPECT_EQ(value, nullptr);  // NOLINT: the case has it
  }
  // Both are ready; afterwards only the other one is.
  const std::size_t first = select(cases);
  EXPECT_EQ(first + select(cases), 1U);
  EXPECT_EQ(**out.recv(), 5);
}

TEST(Select, TakesCasesOfOneKindToo) {
  const auto a = make_chan<int>(1);
  const auto b = make_chan<int>(1);
  int sum = 0;
  const auto add = [&](std::optional<int> v) { sum += *v; };
  std::vector same{on_recv(a, add), on_recv(b, add)};
  b.send(3);
  EXPECT_EQ(select(same), 1U);
  a.send(4);
  EXPECT_EQ(select(same), 0U);
  EXPECT_EQ(sum, 7);
  EXPECT_EQ(select(std::vector<select_case>{on_recv(a), on_timeout(1us), on_recv(b)}), 1U);
}

TEST(Select, RefusesOneCaseTwice) {
  const auto a = make_chan<int>();
  const select_case once = on_recv(a);
  std::vector<select_case> twice{once, once, otherwise()};
  EXPECT_THROW(select(twice), std::logic_error);
  twice.erase(twice.begin());
  EXPECT_EQ(select(twice), 1U);
}

// ---- Moves that throw ---------------------------------------------------------------------------------------------

TEST(SelectOfFragileValues, ChangesNothingIfAMoveThrows) {
  const auto a = make_chan<fragile>(1);
  const auto idle = make_chan<int>();
  fragile v(1);
  fragile::arm(1);
  EXPECT_THROW(select(on_recv(idle), on_send(a, std::move(v))), fragile::broken);
  EXPECT_EQ(a.size(), 0U);
  EXPECT_EQ(select(on_recv(idle), on_send(a, std::move(v))), 1U);
  fragile::arm(1);
  EXPECT_THROW(select(on_recv(a), on_recv(idle)), fragile::broken);
  EXPECT_EQ(a.size(), 1U);
  EXPECT_EQ(select(on_recv(a, [](const std::optional<fragile>& got) { EXPECT_EQ(got->number(), 1); }), on_recv(idle)),
            0U);
  EXPECT_TRUE(is_empty(idle));
}

// The peer has chosen the select and then failed. The select must wait on as if nothing had happened.
TEST(SelectOfFragileValues, GoesOnWaitingIfThePeerFails) {
  support::run_everywhere([](const stage& where) {
    for (const bool sends : {false, true}) {
      const auto a = make_chan<fragile>();
      const auto idle = make_chan<int>();
      support::watched waiter;
      support::crew others(where);
      others.start(waiter, [&] {
        if (sends) {
          EXPECT_EQ(select(on_recv(idle), on_send(a, fragile(1))), 1U);
        } else {
          EXPECT_EQ(
              select(on_recv(idle), on_recv(a, [](const std::optional<fragile>& v) { EXPECT_EQ(v->number(), 1); })),
              1U);
        }
      });
      EXPECT_TRUE(waiter.comes_to_wait());
      fragile v(1);
      for (int i = 0; i < 3; ++i) {
        fragile::arm(1);
        // It takes a moment until the select is back in the queue.
        EXPECT_THROW(support::await([&] {
                       return (sends ? a.try_recv(v) : a.try_send(std::move(v))) != chan_status::would_block;
                     }),
                     fragile::broken);
      }
      if (sends) {
        EXPECT_EQ(a.recv()->number(), 1);
      } else {
        a.send(std::move(v));
      }
      others.join();
      EXPECT_TRUE(is_empty(idle));
    }
  });
}

TEST(SelectOfFragileValues, ThrowsIfItsValueCannotBeBuffered) {
  support::run_everywhere([](const stage& where) {
    const auto a = make_chan<fragile>(1);
    const auto idle = make_chan<int>();
    support::watched waiter;
    support::crew others(where);
    a.send(fragile(1));
    others.start(waiter, [&] { EXPECT_THROW(select(on_recv(idle), on_send(a, fragile(2))), fragile::broken); });
    EXPECT_TRUE(waiter.comes_to_wait());
    fragile target(0);
    fragile::arm(2);
    EXPECT_EQ(a.recv(target), chan_status::ok);
    others.join();
    EXPECT_EQ(a.size(), 0U);
    EXPECT_TRUE(is_empty(idle));
  });
}

// ---- Order --------------------------------------------------------------------------------------------------------

TEST(Select, ShowsWhatWasDoneBeforeTheOtherSide) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 2}) {
      const auto a = make_chan<int*>(capacity);
      const auto b = make_chan<std::unique_ptr<int>>(capacity);
      const auto done = make_chan<int>();
      std::array<int, 30> numbers{};
      int last = 0;
      support::crew others(where);
      others.start([&] {
        for (int i = 0; i < 30; ++i) {
          int& number = numbers.at(static_cast<std::size_t>(i));
          number = i;
          select(on_send(a, &number), on_send(b, std::make_unique<int>(i)));
        }
        last = 30;
        done.close();
      });
      int sum = 0;
      int count = 0;
      for (bool is_over = false; !is_over || count < 30;) {
        select(on_recv(a,
                       [&](std::optional<int*> v) {
                         sum += **v;
                         ++count;
                       }),
               on_recv(b,
                       [&](const std::optional<std::unique_ptr<int>>& v) {
                         sum += **v;
                         ++count;
                       }),
               on_recv(is_over ? chan<int>() : done, [&] {
                 is_over = true;
                 EXPECT_EQ(last, 30);
               }));
      }
      EXPECT_EQ(sum, 435);
    }
  });
}
