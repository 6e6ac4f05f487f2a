#include <turnkey/chan.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <turnkey/select.hpp>

#include "channel_values.hpp"
#include "stress/mix.hpp"
#include "support.hpp"

using support::fragile;
using support::stage;
using support::tracked;
using turnkey::chan;
using turnkey::chan_status;
using turnkey::channel_closed;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;
using turnkey::on_stop;
using turnkey::on_timeout;
using turnkey::otherwise;
using turnkey::select;

namespace {

constexpr std::size_t actors = 8;

// What actors have put in and taken out.
struct books {
  std::atomic<long> sent{0};
  std::atomic<long> received{0};
  std::atomic<std::uint64_t> sent_sum{0};
  std::atomic<std::uint64_t> received_sum{0};

  void note_sent(std::uint64_t v) {
    ++sent;
    sent_sum += v;
  }
  void note_received(std::uint64_t v) {
    ++received;
    received_sum += v;
  }
  void expect_balance() const {
    EXPECT_EQ(sent, received);
    EXPECT_EQ(sent_sum, received_sum);
  }
};

using value = std::unique_ptr<std::uint64_t>;  // who owns it is never in doubt

// One operation of any form on any of the channels, in either direction.
void act(const std::array<chan<value>, 3>& all, support::dice& luck, support::stop_switches<actors>& switches,
         std::size_t me, books& kept) {
  const chan<value>& c = all.at(static_cast<std::size_t>(luck.roll(3)));
  const chan<value>& d = all.at(static_cast<std::size_t>(luck.roll(3)));
  const std::uint64_t number = luck.next() >> 8;
  auto out = std::make_unique<std::uint64_t>(number);
  const auto took = [&](std::optional<value> v) {
    if (v) kept.note_received(**v);
  };
  const auto tried = [&](bool is_sent) {
    EXPECT_EQ(is_sent, out == nullptr);
    if (is_sent) kept.note_sent(number);
  };
  value in;
  try {
    switch (luck.roll(11)) {
      case 0: tried(c.try_send(std::move(out)) == chan_status::ok); break;
      case 1: tried(c.send_for(std::move(out), luck.moment()) == chan_status::ok); break;
      case 2: tried(c.send(std::move(out), switches.renew(me))); break;
      case 3:
        if (c.try_recv(in) == chan_status::ok) kept.note_received(*in);
        break;
      case 4:
        if (c.recv_for(in, luck.moment()) == chan_status::ok) kept.note_received(*in);
        break;
      case 5: took(c.recv(switches.renew(me))); break;
      case 6:
        select(on_recv(c, took), on_send(d, std::move(out)), on_timeout(luck.moment()));
        if (out == nullptr) kept.note_sent(number);
        break;
      case 7: select(on_recv(c, took), on_recv(d, took), on_recv(c, took), on_stop(switches.renew(me))); break;
      case 8:
        select(on_send(c, std::move(out)), on_recv(c, took), on_stop(switches.renew(me)));
        if (out == nullptr) kept.note_sent(number);
        break;
      case 9:
        select(on_recv(c, took), on_send(d, std::move(out)), otherwise());
        if (out == nullptr) kept.note_sent(number);
        break;
      default: select(on_recv(all[0], took), on_recv(all[1], took), on_recv(all[2], took), on_timeout(luck.moment()));
    }
  } catch (const channel_closed&) {
    EXPECT_NE(out, nullptr);  // NOLINT: not sent
  }
}

}  // namespace

// Every form against every other, with limits of both kinds and, in every second round, a close in the middle.
TEST(ChanStress, NeitherLosesNorDoublesAValue) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    const std::array<chan<value>, 3> all{make_chan<value>(), make_chan<value>(1), make_chan<value>(4)};
    support::stop_switches<actors> switches;
    std::atomic<bool> is_over{false};
    books kept;
    support::crew stopper(where);
    {
      support::crew others(where);
      for (std::size_t me = 0; me < actors; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 0; i < size; ++i) {
            act(all, luck, switches, me, kept);
            if (me == 0 && i == size / 2 && seed % 2 == 0) all.at(seed / 2 % 3).close();
            luck.dawdle();
          }
        });
      }
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
    }
    is_over = true;
    stopper.join();
    for (const auto& c : all) {
      value left;
      while (c.try_recv(left) == chan_status::ok) kept.note_received(*left);
    }
    kept.expect_balance();
  });
}

// Plain sends and receives, which wait for ever unless they are served.
TEST(ChanStress, ServesEverybody) {
  support::stress().run(4096, [](const stage& where, int size, std::uint64_t seed) {
    const auto c = make_chan<std::uint64_t>(static_cast<std::ptrdiff_t>(seed % 4));
    const auto other = make_chan<std::uint64_t>(static_cast<std::ptrdiff_t>(seed / 4 % 2));
    books kept;
    support::crew others(where);
    turnkey::wait_group sending;
    for (std::size_t me = 0; me < 3; ++me) {
      sending.add();
      others.start([&, me] {
        support::dice luck(seed + me);
        for (int i = 0; i < size; ++i) {
          const std::uint64_t v = luck.next() >> 8;
          if (luck.roll(2) == 0) {
            (luck.roll(2) == 0 ? c : other).send(v);
          } else {
            select(on_send(c, v), on_send(other, v));
          }
          kept.note_sent(v);
          luck.dawdle();
        }
        sending.done();
      });
      others.start([&, me] {
        support::dice luck(seed + me + 100);
        const auto took = [&](std::optional<std::uint64_t> v) {
          if (v) kept.note_received(*v);
          return v.has_value();
        };
        if (me == 0) {
          for (const std::uint64_t v : c) kept.note_received(v);
        } else if (me == 1) {
          for (const std::uint64_t v : other) kept.note_received(v);
        } else {
          bool is_open = true;
          while (is_open) {
            const auto note = [&](std::optional<std::uint64_t> v) { is_open = took(v); };
            select(on_recv(c, note), on_recv(other, note));
            luck.dawdle();
          }
        }
      });
    }
    sending.wait();
    c.close();
    other.close();
    others.join();
    kept.expect_balance();
  });
}

// Values that break now and then as they are moved: an exception each time, and nothing lost.
TEST(ChanStress, KeepsValuesWhoseMoveThrows) {
  support::stress().run(256, [](const stage& where, int size, std::uint64_t seed) {
    const auto c = make_chan<fragile>(static_cast<std::ptrdiff_t>(seed % 3));
    const auto other = make_chan<fragile>(static_cast<std::ptrdiff_t>(seed / 3 % 2));
    books kept;
    std::atomic<int> sending{3};
    fragile::arm_every(static_cast<int>(3 + seed % 5));
    {
      support::crew others(where);
      for (std::size_t me = 0; me < 3; ++me) {
        others.start([&, me] {
          support::dice luck(seed + me);
          for (int i = 0; i < size; ++i) {
            fragile v(luck.roll(1000));
            const auto number = static_cast<std::uint64_t>(v.number());
            for (bool is_sent = false; !is_sent;) {
              try {
                switch (luck.roll(3)) {
                  case 0: c.send(std::move(v)); break;
                  case 1: select(on_send(c, std::move(v)), on_send(other, std::move(v))); break;
                  default:
                    if (other.send_for(std::move(v), luck.moment()) != chan_status::ok) continue;
                }
                is_sent = true;
              } catch (const fragile::broken&) {
                EXPECT_EQ(static_cast<std::uint64_t>(v.number()), number);  // NOLINT: not moved from
              }
            }
            kept.note_sent(number);
          }
          if (--sending == 0) {
            c.close();
            other.close();
          }
        });
        others.start([&, me] {
          support::dice luck(seed + me + 100);
          std::array<chan<fragile>, 2> left{c, other};
          const auto take = [&](std::size_t from, const std::optional<fragile>& v) {
            if (v) {
              kept.note_received(static_cast<std::uint64_t>(v->number()));
            } else {
              left.at(from) = chan<fragile>();
            }
          };
          while (left[0] || left[1]) {
            try {
              select(on_recv(left[0], [&](const std::optional<fragile>& v) { take(0, v); }),
                     on_recv(left[1], [&](const std::optional<fragile>& v) { take(1, v); }));
            } catch (const fragile::broken&) {
              luck.dawdle();
            }
          }
        });
      }
    }
    fragile::arm_every(0);
    kept.expect_balance();
  });
}

// The one that gets the last value drops the last handle.
TEST(ChanStress, IsNotTouchedAfterItsLastHandleHasGone) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    tracked::count alive;
    {
      std::vector<chan<tracked>> all;
      for (int i = 0; i < size; ++i) all.push_back(make_chan<tracked>(i % 3));
      std::vector<chan<tracked>> same = all;
      support::crew others(where);
      others.start([&alive, mine = std::move(all), seed]() mutable {
        support::dice luck(seed);
        for (auto& c : mine) {
          c.send(tracked(alive, 1));
          if (luck.roll(4) == 0) (void)c.try_send(tracked(alive, 2));
          c = chan<tracked>();
          luck.dawdle();
        }
      });
      others.start([mine = std::move(same), seed]() mutable {
        support::dice luck(seed + 1);
        for (auto& c : mine) {
          if (luck.roll(2) == 0) {
            EXPECT_EQ(c.recv()->number(), 1);
          } else {
            EXPECT_EQ(select(on_recv(chan<tracked>()), on_recv(c)), 1U);
          }
          c = chan<tracked>();
        }
      });
    }
    EXPECT_EQ(alive.now(), 0);
  });
}
