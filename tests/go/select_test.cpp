// Go's tests of select: runtime/chan_test.go and test/chan.
#include <turnkey/select.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <utility>
#include <vector>

#include "support.hpp"

using support::stage;
using turnkey::chan;
using turnkey::chan_status;
using turnkey::channel_closed;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;
using turnkey::on_stop;
using turnkey::otherwise;
using turnkey::select;

// TestNonblockSelectRace: a value is in one of the two before the other side looks, so it never finds nothing.
TEST(GoSelect, FindsTheChannelThatIsReady) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 100; ++i) {
      const auto c1 = make_chan<int>(1);
      const auto c2 = make_chan<int>(1);
      c1.send(1);
      support::crew others(where);
      others.start([&] { EXPECT_NE(select(on_recv(c1), on_recv(c2), otherwise()), 2U); });
      c2.send(1);
      select(on_recv(c1), otherwise());
    }
  });
}

// TestNonblockSelectRace2: one of the two is ready at every moment, though not always the same one.
TEST(GoSelect, JudgesAllChannelsAtOneMoment) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 100; ++i) {
      const auto c1 = make_chan<int>(1);
      const auto c2 = make_chan<int>();
      c1.send(1);
      support::crew others(where);
      others.start([&] { EXPECT_NE(select(on_recv(c1), on_recv(c2), otherwise()), 2U); });
      c2.close();
      select(on_recv(c1), otherwise());
    }
  });
}

// TestSelfSelect: two that send and receive on one channel; nobody gets what it has sent itself.
TEST(GoSelect, NeverReceivesWhatItSends) {
  support::run_everywhere([](const stage& where) {
    for (const std::ptrdiff_t capacity : {0, 10}) {
      constexpr int rounds = 100;
      const auto c = make_chan<int>(capacity);
      support::crew others(where);
      for (int p = 0; p < 2; ++p) {
        others.start([&, p] {
          for (int i = 0; i < rounds; ++i) {
            const auto check = [&](std::optional<int> v) {
              if (capacity == 0) {
                EXPECT_NE(v, p);
              }
            };
            if (p == 0 || i % 2 == 0) {
              select(on_send(c, p), on_recv(c, check));
            } else {
              select(on_recv(c, check), on_send(c, p));
            }
          }
        });
      }
    }
  });
}

// TestSelectStress: ten on four channels, four of them with selects whose cases drop out one by one.
TEST(GoSelect, ServesEverybodyUnderStress) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 300;
    std::array<chan<int>, 4> c{make_chan<int>(), make_chan<int>(), make_chan<int>(2), make_chan<int>(3)};
    support::crew others(where);
    for (const auto& each : c) {
      others.start([each] {
        for (int i = 0; i < n; ++i) each.send(0);
      });
      others.start([each] {
        for (int i = 0; i < n; ++i) each.recv();
      });
    }
    const auto until_all_are_done = [&c](auto one_select) {
      return [&c, one_select] {
        std::array<int, 4> done{};
        std::array<chan<int>, 4> left = c;
        for (int i = 0; i < 4 * n; ++i) {
          const std::size_t which = one_select(left);
          if (++done.at(which) == n) left.at(which) = chan<int>();
        }
      };
    };
    others.start(until_all_are_done([](const auto& left) {
      return 3 - select(on_send(left[3], 0), on_send(left[2], 0), on_send(left[1], 0), on_send(left[0], 0));
    }));
    others.start(until_all_are_done([](const auto& left) {
      return select(on_recv(left[0]), on_recv(left[1]), on_recv(left[2]), on_recv(left[3]));
    }));
  });
}

// TestSelectFairness: two channels that are always full.
TEST(GoSelect, IsFairBetweenTwoThatAreAlwaysReady) {
  support::run_everywhere([](const stage& where) {
    constexpr int trials = 2000;
    const auto c1 = make_chan<int>(trials + 1);
    const auto c2 = make_chan<int>(trials + 1);
    const auto never = make_chan<int>();
    const auto out = make_chan<int>();
    const auto done = make_chan<int>();
    for (int i = 0; i <= trials; ++i) {
      c1.send(1);
      c2.send(2);
    }
    support::crew others(where);
    others.start([&] {
      for (;;) {
        int b = 0;
        const auto keep = [&](std::optional<int> v) { b = *v; };
        select(on_recv(never, keep), on_recv(never, keep), on_recv(c1, keep), on_recv(c2, keep));
        if (select(on_send(out, b), on_recv(done)) == 1) return;
      }
    });
    int first = 0;
    for (int i = 0; i < trials; ++i) first += *out.recv() == 1 ? 1 : 0;
    done.close();
    EXPECT_NEAR(first, trials / 2, 225);  // ten standard deviations
  });
}

// TestPseudoRandomSend: a select that sends 0 or 1.
TEST(GoSelect, SendsBothValuesAboutAsOften) {
  for (const std::ptrdiff_t capacity : {0, 1000}) {
    support::run_everywhere([&](const stage& where) {
      constexpr int n = 1000;
      const auto c = make_chan<int>(capacity);
      std::array<int, 2> times{};
      support::crew others(where);
      others.start([&] {
        for (int i = 0; i < n; ++i) ++times.at(static_cast<std::size_t>(*c.recv()));
      });
      for (int i = 0; i < n; ++i) select(on_send(c, 0), on_send(c, 1));
      others.join();
      EXPECT_GT(times[0], n / 10);
      EXPECT_GT(times[1], n / 10);
    });
  }
}

// TestSelectDuplicateChannel: queued twice on c, woken by d; the one behind it on c must not be forgotten.
TEST(GoSelect, ForgetsNobodyBehindOneThatWasQueuedTwice) {
  support::run_everywhere([](const stage& where) {
    const auto c = make_chan<int>();
    const auto d = make_chan<int>();
    const auto e = make_chan<int>();
    support::watched first;
    support::watched second;
    support::crew others(where);
    others.start(first, [&] {
      select(on_recv(c), on_recv(c), on_recv(d));
      e.send(9);
    });
    EXPECT_TRUE(first.comes_to_wait());
    others.start(second, [&] { c.recv(); });
    EXPECT_TRUE(second.comes_to_wait());
    d.send(7);
    EXPECT_EQ(e.recv(), 9);
    c.send(8);
  });
}

// test/chan/select3: what blocks, what does not, what panics.
TEST(GoSelect, BlocksExactlyWhenNothingIsReady) {
  support::run_everywhere([](const stage& where) {
    const chan<int> nil;
    const auto closed = make_chan<int>();
    closed.close();
    const auto full = make_chan<int>(1);
    full.send(1);
    const auto empty = make_chan<int>(1);
    const auto unbuffered = make_chan<int>();
    std::stop_source source;
    support::crew others(where);
    const auto never = source.get_token();

    const std::vector<std::function<void()>> blocking{
        [&] { EXPECT_FALSE(nil.send(7, never)); },
        [&] { EXPECT_EQ(nil.recv(never), std::nullopt); },
        [&] { EXPECT_EQ(select(on_stop(never)), 0U); },
        [&] { EXPECT_EQ(select(on_send(nil, 7), on_stop(never)), 1U); },
        [&] { EXPECT_EQ(select(on_recv(nil), on_stop(never)), 1U); },
        [&] { EXPECT_EQ(select(on_send(nil, 7), on_recv(nil), on_stop(never)), 2U); },
        [&] { EXPECT_FALSE(full.send(7, never)); },
        [&] { EXPECT_EQ(empty.recv(never), std::nullopt); },
        [&] { EXPECT_EQ(select(on_send(full, 7), on_stop(never)), 1U); },
        [&] { EXPECT_EQ(select(on_recv(empty), on_stop(never)), 1U); },
    };
    std::vector<support::watched> waiters(blocking.size() + 1);
    for (std::size_t i = 0; i < blocking.size(); ++i) {
      others.start(waiters[i], blocking[i]);
      EXPECT_TRUE(waiters[i].comes_to_wait()) << i;
    }
    // Alone on its channel.
    others.start(waiters.back(),
                 [&] { EXPECT_EQ(select(on_recv(unbuffered), on_send(unbuffered, 7), on_stop(never)), 2U); });
    EXPECT_TRUE(waiters.back().comes_to_wait());
    source.request_stop();
    others.join();

    EXPECT_EQ(select(on_send(nil, 7), on_recv(nil), otherwise()), 2U);
    EXPECT_EQ(select(on_send(full, 7), otherwise()), 1U);
    EXPECT_EQ(select(on_recv(empty), otherwise()), 1U);
    EXPECT_EQ(select(on_send(empty, 7)), 0U);
    EXPECT_EQ(select(on_recv(empty)), 0U);
    EXPECT_EQ(select(on_recv(full)), 0U);
    EXPECT_EQ(select(on_recv(closed)), 0U);
    EXPECT_EQ(select(on_recv(closed), otherwise()), 0U);
    EXPECT_EQ(closed.recv(), std::nullopt);
    EXPECT_THROW(closed.send(7), channel_closed);
    EXPECT_THROW(select(on_send(closed, 7)), channel_closed);
    EXPECT_THROW(select(on_send(closed, 7), otherwise()), channel_closed);
  });
}

// test/chan/select6: a select that was in the middle of a queue and left leaves nothing there.
TEST(GoSelect, LeavesNothingInTheMiddleOfAQueue) {
  support::run_everywhere([](const stage& where) {
    const auto c1 = make_chan<bool>();
    const auto c2 = make_chan<bool>();
    const auto c3 = make_chan<bool>();
    const auto c4 = make_chan<bool>();
    std::array<support::watched, 3> waiters;
    support::crew others(where);
    others.start(waiters[0], [&] { c1.recv(); });
    EXPECT_TRUE(waiters[0].comes_to_wait());
    others.start(waiters[1], [&] {
      select(on_recv(c1), on_recv(c2));
      c3.send(true);
    });
    EXPECT_TRUE(waiters[1].comes_to_wait());
    others.start(waiters[2], [&] {
      c1.recv();
      c4.send(true);
    });
    EXPECT_TRUE(waiters[2].comes_to_wait());
    c2.send(true);
    c3.recv();
    c1.send(true);
    c1.send(true);
    c4.recv();
  });
}

// test/chan/select7: three ways to send against three ways to receive.
TEST(GoSelect, MeetsEveryFormWithEveryForm) {
  support::run_everywhere([](const stage& where) {
    using way = std::function<void(const chan<int>&)>;
    const std::vector<way> receives{
        [](const chan<int>& c) { EXPECT_EQ(c.recv(), 1); },
        [](const chan<int>& c) { select(on_recv(c, [](std::optional<int> v) { EXPECT_EQ(v, 1); })); },
        [](const chan<int>& c) {
          const auto never = make_chan<int>();
          select(on_recv(never), on_recv(c, [](std::optional<int> v) { EXPECT_EQ(v, 1); }));
        },
    };
    const std::vector<way> sends{
        [](const chan<int>& c) { c.send(1); },
        [](const chan<int>& c) { select(on_send(c, 1)); },
        [](const chan<int>& c) {
          const auto never = make_chan<int>();
          select(on_recv(never), on_send(c, 1));
        },
    };
    for (const auto& receive : receives) {
      for (const auto& send : sends) {
        for (const bool receiver_waits : {false, true}) {
          const auto c = make_chan<int>();
          support::watched waiter;
          support::crew others(where);
          others.start(waiter, [&] { (receiver_waits ? receive : send)(c); });
          EXPECT_TRUE(waiter.comes_to_wait());
          (receiver_waits ? send : receive)(c);
        }
      }
    }
  });
}

// test/chan/doubleselect: every value once, through a select that sends on one of four and one that receives from four.
TEST(GoSelect, DoublesNothingOnItsWayThroughFour) {
  support::run_everywhere([](const stage& where) {
    constexpr int iterations = 2000;
    std::array<chan<int>, 4> c{make_chan<int>(), make_chan<int>(), make_chan<int>(), make_chan<int>()};
    const auto done = make_chan<int>();
    const auto out = make_chan<int>();
    support::crew others(where);
    others.start([&] {
      for (int i = 0; i < iterations; ++i)
        select(on_send(c[0], i), on_send(c[1], i), on_send(c[2], i), on_send(c[3], i));
      for (const auto& each : c) each.close();
    });
    for (const auto& each : c) {
      others.start([&, each] {
        for (const int v : each) out.send(v);
        done.send(1);
      });
    }
    others.start([&] {
      for (int i = 0; i < 4; ++i) done.recv();
      out.close();
    });
    std::vector<int> seen(iterations, 0);
    for (const int v : out) ++seen[static_cast<std::size_t>(v)];
    for (int i = 0; i < iterations; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], 1) << i;
  });
}

// test/chan/select, select4: what the cases refer to is evaluated once, whichever is chosen; a handler only if it is.
TEST(GoSelect, EvaluatesWhatItsCasesReferToOnceAndHandlersOnlyIfChosen) {
  const auto c = make_chan<int>(1);
  int evaluated = 0;
  int ran = 0;
  const auto value = [&] { return ++evaluated; };
  const auto nil = [&] {
    ++evaluated;
    return chan<int>();
  };
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(select(on_send(nil(), value(), [&] { ran += 100; }), on_recv(nil(), [&] { ran += 100; }),
                     on_send(c, value(), [&] { ++ran; })),
              2U);
    c.recv();
  }
  EXPECT_EQ(evaluated, 40);
  EXPECT_EQ(ran, 10);
}

// test/chan/perm and TestSelectN, in short: 100 cases and more.
TEST(GoSelect, TakesManyCases) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t count = 300;
    std::vector<chan<int>> all;
    std::vector<turnkey::select_case> cases;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(i % 5 == 4 ? chan<int>() : make_chan<int>());
      cases.emplace_back(on_recv(all.back()));
    }
    support::crew others(where);
    others.start([&] {
      for (std::size_t i = 0; i < count; ++i) {
        if (all[count - 1 - i]) all[count - 1 - i].send(0);
      }
    });
    std::set<std::size_t> chosen;
    for (std::size_t i = 0; i < count / 5 * 4; ++i) chosen.insert(select(cases));
    EXPECT_EQ(chosen.size(), count / 5 * 4);
  });
}
