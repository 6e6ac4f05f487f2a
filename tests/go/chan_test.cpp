// Go's tests of channels: runtime/chan_test.go and test/chan.
#include <turnkey/chan.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <turnkey/select.hpp>

#include "support.hpp"

using support::stage;
using turnkey::chan;
using turnkey::chan_status;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;
using turnkey::otherwise;
using turnkey::receiver;
using turnkey::select;
using turnkey::sender;

// TestChan: for many capacities.
TEST(GoChan, DoesAtEveryCapacityWhatItShould) {
  support::run_everywhere([](const stage& where) {
    for (std::ptrdiff_t capacity = 0; capacity < 20; capacity = capacity * 2 + 1) {
      const auto room = static_cast<int>(capacity);
      {  // an empty one blocks receivers
        const auto c = make_chan<int>(capacity);
        support::watched first;
        support::watched second;
        support::crew others(where);
        others.start(first, [&] { c.recv(); });
        others.start(second, [&] { c.recv(); });
        EXPECT_TRUE(first.comes_to_wait());
        EXPECT_TRUE(second.comes_to_wait());
        c.send(0);
        c.send(0);
      }
      {  // a non-blocking receive of an empty one fails
        const auto c = make_chan<int>(capacity);
        int v = 0;
        EXPECT_EQ(c.try_recv(v), chan_status::would_block);
        EXPECT_EQ(select(on_recv(c), otherwise()), 1U);
      }
      {  // a full one blocks senders
        const auto c = make_chan<int>(capacity);
        support::watched waiter;
        support::crew others(where);
        for (int i = 0; i < room; ++i) c.send(i);
        EXPECT_EQ(c.try_send(0), chan_status::would_block);
        EXPECT_EQ(select(on_send(c, 0), otherwise()), 1U);
        others.start(waiter, [&] { c.send(0); });
        EXPECT_TRUE(waiter.comes_to_wait());
        c.recv();
      }
      {  // after close, what is left and then nothing
        const auto c = make_chan<int>(capacity);
        for (int i = 0; i < room; ++i) c.send(i);
        c.close();
        for (int i = 0; i < room; ++i) EXPECT_EQ(c.recv(), i);
        EXPECT_EQ(c.recv(), std::nullopt);
        EXPECT_EQ(c.recv(), std::nullopt);
      }
      {  // close lets receivers go
        const auto c = make_chan<int>(capacity);
        support::watched waiter;
        support::crew others(where);
        others.start(waiter, [&] { EXPECT_EQ(c.recv(), std::nullopt); });
        EXPECT_TRUE(waiter.comes_to_wait());
        c.close();
      }
      {  // 100 values come in order
        const auto c = make_chan<int>(capacity);
        support::crew others(where);
        others.start([&] {
          for (int i = 0; i < 100; ++i) c.send(i);
        });
        for (int i = 0; i < 100; ++i) EXPECT_EQ(c.recv(), i);
      }
      {  // four senders, four receivers: every value as often as it was sent
        const auto c = make_chan<int>(capacity);
        constexpr int count = 200;
        std::array<std::map<int, int>, 4> got;
        {
          support::crew others(where);
          for (int p = 0; p < 4; ++p) {
            others.start([&] {
              for (int i = 0; i < count; ++i) c.send(i);
            });
          }
          for (auto& mine : got) {
            others.start([&] {
              for (int i = 0; i < count; ++i) ++mine[*c.recv()];
            });
          }
        }
        std::map<int, int> all;
        for (const auto& mine : got) {
          for (const auto& [value, times] : mine) all[value] += times;
        }
        ASSERT_EQ(all.size(), static_cast<std::size_t>(count));
        for (const auto& [value, times] : all) EXPECT_EQ(times, 4) << value;
      }
      {  // len and cap
        const auto c = make_chan<int>(capacity * 2);
        for (int i = 0; i < room; ++i) c.send(i);
        EXPECT_EQ(c.size(), static_cast<std::size_t>(room));
        EXPECT_EQ(c.capacity(), static_cast<std::size_t>(2 * room));
      }
    }
  });
}

// TestNonblockRecvRace: one value and a close; a non-blocking receive that comes in between never finds it not ready.
TEST(GoChan, ThatHasAValueOrIsClosedNeverMakesANonblockingReceiverWait) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 100; ++i) {
      const auto c = make_chan<int>(1);
      c.send(1);
      support::crew others(where);
      others.start([&] { EXPECT_EQ(select(on_recv(c), otherwise()), 0U); });
      c.close();
      c.recv();
    }
  });
}

// TestMultiConsumer: the sum of what 23 workers have passed on is the sum of what was sent.
TEST(GoChan, LosesNothingAmongManyConsumers) {
  support::run_everywhere([](const stage& where) {
    constexpr int workers = 23;
    constexpr int count = 4000;
    constexpr std::array primes{2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
    const auto in = make_chan<int>(workers * 3);
    const auto out = make_chan<int>(workers * 3);
    support::crew others(where);
    turnkey::wait_group working;
    for (int i = 0; i < workers; ++i) {
      working.add();
      others.start([&, i] {
        for (const int v : in) {
          if (i % primes[static_cast<std::size_t>(v) % primes.size()] == 0) turnkey::this_goroutine::yield();
          out.send(v);
        }
        working.done();
      });
    }
    long expected = 0;
    others.start([&] {
      for (int i = 0; i < count; ++i) {
        expected += 7 * i;
        in.send(7 * i);
      }
      in.close();
      working.wait();
      out.close();
    });
    long sum = 0;
    int received = 0;
    for (const int v : out) {
      sum += v;
      ++received;
    }
    EXPECT_EQ(received, count);
    EXPECT_EQ(sum, expected);
  });
}

// test/chan/fifo: values and blocked callers, first in, first out.
TEST(GoChan, IsFirstInFirstOut) {
  support::run_everywhere([](const stage& where) {
    constexpr int n = 10;
    const auto buffered = make_chan<int>(n);
    for (int i = 0; i < n; ++i) buffered.send(i);
    for (int i = 0; i < n; ++i) EXPECT_EQ(buffered.recv(), i);

    // Each begins to receive only when the one before it has, and gets its number.
    const auto c = make_chan<int>();
    support::crew others(where);
    receiver<int> in = make_chan<int>(1);
    for (int i = 0; i < n; ++i) {
      const auto done = make_chan<int>();
      others.start([c, i, in, done] {
        if (i != 0) in.recv();
        EXPECT_EQ(c.recv(), i);
        done.close();
      });
      in = done;
    }
    for (int i = 0; i < n; ++i) c.send(i);
    in.recv();
  });
}

// test/chan/goroutines: a number comes through a long chain, one more at each link.
TEST(GoChan, LinksALongChainOfGoroutines) {
#if defined(SUPPORT_HAS_TSAN)
  constexpr int length = 500;
#elif defined(SUPPORT_HAS_ASAN)
  constexpr int length = 10'000;
#else
  constexpr int length = 100'000;
#endif
  for (const int procs : {1, 4}) {
    support::with_procs(procs, [&] {
      const auto leftmost = make_chan<int>();
      receiver<int> right = leftmost;
      sender<int> left = leftmost;
      for (int i = 0; i < length; ++i) {
        const auto next = make_chan<int>();
        turnkey::go({.stack_size = 16 << 10}, [left, from = receiver<int>(next)] { left.send(1 + *from.recv()); });
        left = next;
      }
      turnkey::go([left] { left.send(1); });
      EXPECT_EQ(right.recv(), length + 1);
    });
  }
}

// test/chan/sieve1: each prime is a goroutine that passes on what it does not divide.
TEST(GoChan, SievesPrimes) {
  support::run_everywhere([](const stage& where) {
    if (where.who == support::company::threads) return;
    const auto numbers = make_chan<int>();
    const auto enough = make_chan<int>();
    turnkey::wait_group running;
    // Sends unless it is enough.
    const auto pass = [enough](const chan<int>& to, int v) { return select(on_send(to, v), on_recv(enough)) == 0; };
    running.go([=] {
      for (int i = 2; pass(numbers, i); ++i) {
      }
    });
    chan<int> in = numbers;
    std::vector<int> primes;
    for (int i = 0; i < 60; ++i) {
      const int prime = *in.recv();
      primes.push_back(prime);
      const auto out = make_chan<int>();
      running.go([=] {
        for (;;) {
          int v = 0;
          if (select(on_recv(in, [&](std::optional<int> got) { v = *got; }), on_recv(enough)) == 1) return;
          if (v % prime != 0 && !pass(out, v)) return;
        }
      });
      in = out;
    }
    enough.close();
    running.wait();
    EXPECT_EQ(primes.front(), 2);
    EXPECT_EQ(primes[24], 97);
    EXPECT_EQ(primes.back(), 281);
  });
}

namespace {

// A power series, as test/chan/powser1 has them: coefficients that are computed when somebody asks for them.
using series = receiver<long>;

series make_series(turnkey::wait_group& all, const receiver<int>& enough, std::vector<long> first, long then) {
  const auto out = make_chan<long>();
  all.go([=] {
    for (std::size_t i = 0;; ++i) {
      if (select(on_send(out, i < first.size() ? first[i] : then), on_recv(enough)) == 1) return;
    }
  });
  return out;
}

// The product with the series of 1 / (1 - x): running sums.
series sums(turnkey::wait_group& all, const receiver<int>& enough, series of) {
  const auto out = make_chan<long>();
  all.go([=] {
    long sum = 0;
    for (;;) {
      if (select(on_recv(of, [&](std::optional<long> v) { sum += *v; }), on_recv(enough)) == 1) return;
      if (select(on_send(out, sum), on_recv(enough)) == 1) return;
    }
  });
  return out;
}

series added(turnkey::wait_group& all, const receiver<int>& enough, series a, series b) {
  const auto out = make_chan<long>();
  all.go([=] {
    for (;;) {
      long sum = 0;
      series first = a;
      series second = b;
      // Whichever comes first; a nil channel is out of the game.
      for (int k = 0; k < 2; ++k) {
        const std::size_t which = select(on_recv(first, [&](std::optional<long> v) { sum += *v; }),
                                         on_recv(second, [&](std::optional<long> v) { sum += *v; }), on_recv(enough));
        if (which == 2) return;
        (which == 0 ? first : second) = series();
      }
      if (select(on_send(out, sum), on_recv(enough)) == 1) return;
    }
  });
  return out;
}

}  // namespace

// test/chan/powser1: 1 / (1-x)^3 has the triangular numbers; added to itself, twice those.
TEST(GoChan, ComputesWithPowerSeries) {
  support::run_everywhere([](const stage& where) {
    if (where.who == support::company::threads) return;
    const auto enough = make_chan<int>();
    turnkey::wait_group all;
    const auto triangular = [&] { return sums(all, enough, sums(all, enough, make_series(all, enough, {}, 1))); };
    const series twice = added(all, enough, triangular(), triangular());
    for (long i = 1; i <= 30; ++i) EXPECT_EQ(twice.recv(), i * (i + 1));
    enough.close();
    all.wait();
  });
}

// test/chan/zerosize, sendstmt, nonblock: values of several types, blocking and not.
TEST(GoChan, PassesSeveralTypesWithoutBlocking) {
  const auto check = [](auto value) {
    for (const std::ptrdiff_t capacity : {0, 1}) {
      const auto c = make_chan<decltype(value)>(capacity);
      auto got = decltype(value){};
      EXPECT_EQ(c.try_recv(got), chan_status::would_block);
      EXPECT_EQ(c.try_send(value), capacity == 0 ? chan_status::would_block : chan_status::ok);
      EXPECT_EQ(c.try_send(value), chan_status::would_block);
      EXPECT_EQ(c.try_recv(got), capacity == 0 ? chan_status::would_block : chan_status::ok);
      if (capacity != 0) {
        EXPECT_EQ(got, value);
      }
    }
  };
  check(1);
  check('x');
  check(2.5);
  check(true);
  check(std::string("words"));
  check(std::array<int, 0>{});
  check(std::vector<int>{1, 2});
}
