// An rw_mutex whose readers are counted on each CPU: see "Spread and armed" in sync/lock_core.hpp.
#include <turnkey/rw_mutex.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "eager_spreading.hpp"
#include "platform/rseq.hpp"
#include "support.hpp"
#include "sync/lock_core.hpp"
#include "sync/reader_cells.hpp"

using support::eager_spreading;
using support::stage;
using turnkey::lock_protocol;

namespace {

// A lock's first and only member.
turnkey::lock_core& core_of(turnkey::rw_mutex& mu) { return reinterpret_cast<turnkey::lock_core&>(mu); }
std::uint32_t word_of(turnkey::rw_mutex& mu) { return lock_protocol::state_of(core_of(mu)); }
bool is_spread(turnkey::rw_mutex& mu) { return lock_protocol::is_spread(word_of(mu)); }
bool is_free_and_armed(turnkey::rw_mutex& mu) { return word_of(mu) == lock_protocol::armed; }

// At once, where a reader tries now and then.
void spread(turnkey::rw_mutex& mu) {
  ASSERT_TRUE(mu.try_lock_shared());
  lock_protocol::spread(core_of(mu));
  mu.unlock_shared();
}
void read_often(turnkey::rw_mutex& mu) {
  for (int i = 0; i < 100; ++i) const std::shared_lock hold(mu);
}

class RwMutexSpread : public testing::Test {
 protected:
  void SetUp() override {
    if (!turnkey::platform::has_rseq) GTEST_SKIP() << "no restartable sequences here";
  }
  eager_spreading always;
};

}  // namespace

TEST_F(RwMutexSpread, BecomesSoByBeingRead) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    EXPECT_FALSE(is_spread(mu));
    read_often(mu);
    EXPECT_TRUE(is_spread(mu));
    mu.lock_shared();
    EXPECT_TRUE(is_spread(mu));
    mu.unlock_shared();
    EXPECT_TRUE(is_spread(mu));
  });
}

TEST_F(RwMutexSpread, EndsWithAWriter) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    spread(mu);
    ASSERT_TRUE(is_spread(mu));
    mu.lock();
    EXPECT_FALSE(is_spread(mu));
    EXPECT_FALSE(mu.try_lock_shared());
    mu.unlock();
    EXPECT_TRUE(is_free_and_armed(mu));
  });
}

TEST_F(RwMutexSpread, KeepsWritersOutWhileAnybodyReads) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    spread(mu);
    mu.lock_shared();
    mu.lock_shared();
    ASSERT_TRUE(is_spread(mu));
    EXPECT_FALSE(mu.try_lock());
    EXPECT_FALSE(is_spread(mu));
    mu.unlock_shared();
    EXPECT_FALSE(mu.try_lock_for(std::chrono::nanoseconds(1)));
    mu.unlock_shared();
    EXPECT_TRUE(is_free_and_armed(mu));
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

TEST_F(RwMutexSpread, CountsOutInCellsWhomTheWordHasCountedIn) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(mu.try_lock_shared());
    EXPECT_EQ(word_of(mu), lock_protocol::armed + 2 * lock_protocol::reader);
    spread(mu);
    mu.unlock_shared();
    mu.unlock_shared();
    ASSERT_TRUE(is_spread(mu));
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
    EXPECT_TRUE(is_free_and_armed(mu));
  });
}

// Readers in cells, in the word, or some in each, whatever it was when they came: whoever waits to write gets it when all
// have left, and none is forgotten.
TEST_F(RwMutexSpread, LetsAWaitingWriterInWhenTheLastReaderLeaves) {
  support::run_everywhere([](const stage& where) {
    for (int readers = 1; readers <= 8; ++readers) {
      turnkey::rw_mutex mu;
      spread(mu);
      for (int i = 0; i < readers; ++i) mu.lock_shared();
      bool has_written = false;
      support::watched writer;
      support::crew others(where);
      others.start(writer, [&] {
        mu.lock();
        has_written = true;
        mu.unlock();
      });
      ASSERT_TRUE(writer.comes_to_wait());
      for (int i = 0; i < readers; ++i) {
        EXPECT_FALSE(has_written);
        mu.unlock_shared();
      }
      others.join();
      EXPECT_TRUE(has_written);
    }
  });
}

TEST_F(RwMutexSpread, IsRepeatedAfterEachWriter) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    for (int i = 0; i < 100; ++i) {
      spread(mu);
      ASSERT_TRUE(is_spread(mu));
      const std::scoped_lock hold(mu);
    }
  });
}

namespace {

class RwMutexSpreadPolicy : public testing::Test {
 protected:
  void SetUp() override {
    if (!turnkey::platform::has_rseq) GTEST_SKIP() << "no restartable sequences here";
  }
};

using many_locks = std::vector<std::unique_ptr<turnkey::rw_mutex>>;

many_locks spread_each(std::size_t count) {
  many_locks all;
  for (std::size_t i = 0; i < count; ++i) spread(*all.emplace_back(std::make_unique<turnkey::rw_mutex>()));
  return all;
}

auto spread_ones(const many_locks& all) {
  return std::ranges::count_if(all, [](const auto& mu) { return is_spread(*mu); });
}

}  // namespace

TEST_F(RwMutexSpreadPolicy, TriesAfterAsManyReadsAsItSays) {
  const eager_spreading after_ten(10);
  turnkey::rw_mutex mu;
  read_often(mu);  // from here on this thread counts to ten
  mu.lock();
  mu.unlock();
  for (int i = 0; !is_spread(mu); ++i) {
    ASSERT_LT(i, 10);
    const std::shared_lock hold(mu);
  }
  mu.lock();
  mu.unlock();
  for (int i = 0; i < 9; ++i) {
    const std::shared_lock hold(mu);
    EXPECT_FALSE(is_spread(mu));
  }
  const std::shared_lock hold(mu);
  EXPECT_TRUE(is_spread(mu));
}

// In a process of its own: what rests is found by its address, so that other tests' locks would rest as well.
TEST_F(RwMutexSpreadPolicy, LetsALockRestThatIsWritten) {
  const auto rests_after_a_write = [] {
    turnkey::rw_mutex mu;
    {
      const eager_spreading always;
      spread(mu);
      if (!is_spread(mu)) return false;
    }
    const eager_spreading after_a_rest(1, std::chrono::hours(24));
    mu.lock();
    mu.unlock();
    for (int i = 0; i < 1000; ++i) spread(mu);
    return is_free_and_armed(mu);
  };
  EXPECT_EXIT(_exit(rests_after_a_write() ? 0 : 1), testing::ExitedWithCode(0), "^$");
}

TEST_F(RwMutexSpreadPolicy, GivesTheCellsBackWhenALockEnds) {
  constexpr auto room = static_cast<std::ptrdiff_t>(turnkey::reader_cells::most_locks - 1);
  const eager_spreading always;
  for (int round = 0; round < 3; ++round) EXPECT_EQ(spread_ones(spread_each(room + 100)), room);
}

TEST_F(RwMutexSpreadPolicy, GivesTheCellsBackWhenALockIsWritten) {
  constexpr auto room = static_cast<std::ptrdiff_t>(turnkey::reader_cells::most_locks - 1);
  const eager_spreading always;
  const many_locks all = spread_each(room);
  ASSERT_EQ(spread_ones(all), room);
  turnkey::rw_mutex one_more;
  spread(one_more);
  EXPECT_FALSE(is_spread(one_more));
  EXPECT_TRUE(all.front()->try_lock());
  all.front()->unlock();
  spread(one_more);
  EXPECT_TRUE(is_spread(one_more));
}

TEST_F(RwMutexSpreadPolicy, DoesWithoutWhereSequencesAreForgone) {
  const eager_spreading always;
  turnkey::rw_mutex before;
  spread(before);
  ASSERT_TRUE(is_spread(before));
  turnkey::platform::forgo_rseq();
  turnkey::rw_mutex mu;
  spread(mu);
  EXPECT_TRUE(is_free_and_armed(mu));
  spread(before);
  EXPECT_TRUE(before.try_lock());
  before.unlock();
  spread(before);
  EXPECT_TRUE(is_free_and_armed(before));
  turnkey::platform::has_rseq = true;
}
