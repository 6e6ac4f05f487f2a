#include <turnkey/snapshot.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "stress/mix.hpp"
#include "support.hpp"

using support::stage;

namespace {

constexpr std::uint64_t alive_mark = 0x5afe5afe5afe5afe;

// Two words that agree while it lives.
struct version {
  explicit version(std::atomic<int>& count, std::uint64_t value = 0) : living(&count), a(value), b(~value) {
    ++*living;
  }
  version(const version& other) : living(other.living), a(other.a), b(other.b) { ++*living; }
  version& operator=(const version&) = delete;
  ~version() {
    EXPECT_EQ(mark, alive_mark);
    mark = 0;
    a = b = 0;
    --*living;
  }
  [[nodiscard]] bool is_good() const { return mark == alive_mark && a == ~b; }

  std::atomic<int>* living;
  std::uint64_t mark = alive_mark;
  std::uint64_t a;
  std::uint64_t b;
};

using pointer = turnkey::snapshot_ptr<version>;

}  // namespace

// Everything at once: loads, copies, hand-overs to whoever comes next, stores, updates, threads that end, snapshots that
// end. No version is used after its end, and none is left over.
TEST(SnapshotStress, DestroysEachVersionOnceAndNotBeforeItsLastPointer) {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 7;
    constexpr std::size_t homes = 3;
    constexpr std::size_t shelves = 8;
    std::atomic<int> living{0};
    {
      std::array<std::unique_ptr<turnkey::snapshot<version>>, homes> all;
      for (auto& each : all) each = std::make_unique<turnkey::snapshot<version>>(std::in_place, living);
      struct shelf {
        turnkey::mutex mu;
        pointer held;
      };
      std::array<shelf, shelves> passed_on;
      support::stop_switches<actors> switches;
      std::atomic<bool> is_over{false};
      support::crew stopper(where);
      stopper.start([&] { support::keep_stopping(switches, is_over, seed); });
      {
        support::crew others(where);
        for (std::size_t me = 0; me < actors; ++me) {
          others.start([&, me] {
            support::dice luck(seed + me);
            pointer mine;
            for (int i = 0; i < size; ++i) {
              turnkey::snapshot<version>& home = *all[static_cast<std::size_t>(luck.roll(homes))];
              const auto change = [&](version& copy) {
                EXPECT_TRUE(copy.is_good());
                copy.a = luck.next();
                copy.b = ~copy.a;
              };
              switch (luck.roll(12)) {
                case 0: home.store(version(living, luck.next())); break;
                case 1: home.update(change); break;
                case 10: {
                  const version next(living, luck.next());
                  static_cast<void>(luck.roll(2) == 0 ? home.store_for(luck.moment(), next)
                                                      : home.store(switches.renew(me), next));
                  break;
                }
                case 11: {
                  bool is_called = false;
                  const auto note = [&](version& copy) { is_called = true, change(copy); };
                  const bool is_changed =
                      luck.roll(2) == 0 ? home.update_for(luck.moment(), note) : home.update(switches.renew(me), note);
                  EXPECT_EQ(is_changed, is_called);
                  break;
                }
                case 2:
                case 3: {
                  shelf& there = passed_on[static_cast<std::size_t>(luck.roll(shelves))];
                  const std::scoped_lock hold(there.mu);
                  mine.swap(there.held);
                  break;
                }
                case 4: mine = pointer(mine); break;
                case 5: {
                  turnkey::snapshot<version> own(std::in_place, living, luck.next());
                  mine = own.load();
                  break;
                }
                case 6:
                  if (luck.roll(8) == 0) {
                    turnkey::blocking([&] { std::jthread([&] { mine = home.load(); }).join(); });
                  }
                  break;
                default: mine = home.load();
              }
              EXPECT_TRUE(!mine || mine->is_good());
              luck.dawdle();
            }
          });
        }
      }
      is_over = true;
      stopper.join();
    }
    EXPECT_EQ(living, 0);
  });
}

// As many stores as can be, and readers that hold a version for a moment only: closing the cells meets counting in them.
TEST(SnapshotStress, IsReadAsItIsReplaced) {
  support::stress().run(2048, [](const stage& where, int size, std::uint64_t) {
    std::atomic<int> living{0};
    std::atomic<bool> is_over{false};
    {
      turnkey::snapshot<version> it(std::in_place, living);
      support::crew readers(where);
      for (int i = 0; i < 3; ++i) {
        readers.start([&] {
          std::uint64_t last = 0;
          while (!is_over.load(std::memory_order_relaxed)) {
            for (int k = 0; k < 100; ++k) {
              const auto now = it.load();
              EXPECT_TRUE(now->is_good());
              EXPECT_GE(now->a, last);
              last = now->a;
            }
            turnkey::this_goroutine::yield();
          }
        });
      }
      for (int i = 1; i <= size; ++i) it.store(version(living, static_cast<std::uint64_t>(i)));
      is_over = true;
      readers.join();
    }
    EXPECT_EQ(living, 0);
  });
}
