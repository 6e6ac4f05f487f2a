#include <turnkey/counter.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "support.hpp"

using support::stage;
using turnkey::counter;

static_assert(support::stays_where_it_is<counter>);
static_assert(sizeof(counter) <= 16);

namespace {

constinit counter static_counter;

}  // namespace

TEST(Counter, IsReadyBeforeAnyConstructorRuns) {
  static std::int64_t runs = 0;  // of this test
  EXPECT_EQ(static_counter.load(), runs);
  ++static_counter;
  EXPECT_EQ(static_counter.load(), ++runs);
}

TEST(Counter, StartsAtZeroAndAddsWhateverItIsGiven) {
  counter it;
  EXPECT_EQ(it.load(), 0);
  ++it;
  it++;
  it.add(40);
  EXPECT_EQ(it.load(), 42);
  it.add(-50);
  EXPECT_EQ(it.load(), -8);
  it.add(0);
  EXPECT_EQ(it.load(), -8);
}

TEST(Counter, GoesRoundAtItsEnds) {
  counter it;
  it.add(std::numeric_limits<std::int64_t>::max());
  it.add(1);
  EXPECT_EQ(it.load(), std::numeric_limits<std::int64_t>::min());
  it.add(-1);
  EXPECT_EQ(it.load(), std::numeric_limits<std::int64_t>::max());
}

TEST(Counter, LosesNothingWhoeverAdds) {
  support::run_everywhere([](const stage& where) {
    counter it;
    counter other;
    {
      support::crew others(where);
      for (int i = 0; i < 8; ++i) {
        others.start([&] {
          for (int k = 0; k < 1000; ++k) {
            ++it;
            other.add(-2);
            if (k % 100 == 0) turnkey::this_goroutine::yield();
          }
        });
      }
    }
    EXPECT_EQ(it.load(), 8000);
    EXPECT_EQ(other.load(), -16000);
  });
}

TEST(Counter, DoesNotGoBackWhileItOnlyGrows) {
  support::run_everywhere([](const stage& where) {
    counter it;
    std::atomic<bool> is_over{false};
    support::crew others(where);
    others.start([&] {
      std::int64_t last = 0;
      while (!is_over.load()) {
        const std::int64_t now = it.load();
        EXPECT_GE(now, last);
        last = now;
        turnkey::this_goroutine::yield();
      }
    });
    {
      support::crew adders(where);
      for (int i = 0; i < 4; ++i) {
        adders.start([&] {
          for (int k = 0; k < 2000; ++k) {
            ++it;
            if (k % 50 == 0) turnkey::this_goroutine::yield();
          }
        });
      }
    }
    is_over = true;
    others.join();
    EXPECT_EQ(it.load(), 8000);
  });
}

TEST(Counter, KeepsWhatThreadsAddedThatHaveEnded) {
  counter it;
  for (int i = 0; i < 50; ++i) {
    std::thread([&] {
      for (int k = 0; k < 10; ++k) ++it;
    }).join();
  }
  EXPECT_EQ(it.load(), 500);
}

// A thread's own destructors may count after the library has taken leave of it.
TEST(Counter, CountsInADestructorAtTheEndOfAThread) {
  static counter it;
  struct at_exit {
    ~at_exit() {
      for (int k = 0; k < 10; ++k) ++it;
    }
    void touch() {}
  };
  const std::int64_t before = it.load();
  for (int i = 0; i < 20; ++i) {
    std::thread([] {
      static thread_local at_exit last;
      last.touch();
      ++it;
    }).join();
  }
  EXPECT_EQ(it.load() - before, 220);
}

// They use one another's cells again.
TEST(Counter, StartsAtZeroInThePlaceOfOneThatIsGone) {
  support::run_everywhere([](const stage& where) {
    for (int i = 0; i < 20; ++i) {
      std::vector<std::unique_ptr<counter>> all;
      for (int k = 0; k < 20; ++k) all.push_back(std::make_unique<counter>());
      {
        support::crew others(where);
        for (int k = 0; k < 3; ++k) {
          others.start([&] {
            for (auto& each : all) {
              EXPECT_GE(each->load(), 0);
              each->add(1);
              each->add(6);
            }
          });
        }
      }
      for (auto& each : all) EXPECT_EQ(each->load(), 21);
    }
  });
}

// More than there are cells for.
TEST(Counter, CountsHoweverManyThereAre) {
  constexpr std::size_t many = 70'000;
  std::vector<counter> all(many);
  for (counter& each : all) each.add(1);
  for (counter& each : all) each.add(2);
  for (const counter& each : all) EXPECT_EQ(each.load(), 3);
}
