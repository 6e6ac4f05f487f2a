#include <turnkey/snapshot.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

using support::stage;
using turnkey::snapshot;
using turnkey::snapshot_ptr;

static_assert(support::stays_where_it_is<snapshot<int>>);
static_assert(sizeof(snapshot_ptr<int>) == sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<snapshot_ptr<int>>);
static_assert(std::is_nothrow_move_assignable_v<snapshot_ptr<int>>);
static_assert(std::is_same_v<decltype(*std::declval<snapshot_ptr<int>>()), const int&>);

namespace {

// Counts those that are alive, and knows if it was torn or is gone.
class tracked {
 public:
  explicit tracked(std::atomic<int>& alive, int number = 0) : alive_(&alive) {
    set(number);
    ++*alive_;
  }
  tracked(const tracked& other) : alive_(other.alive_), numbers_(other.numbers_) { ++*alive_; }
  tracked& operator=(const tracked&) = delete;
  ~tracked() {
    EXPECT_TRUE(is_whole());
    numbers_.fill(-1);
    numbers_[0] = -2;
    --*alive_;
  }
  void set(int number) { numbers_.fill(number); }
  [[nodiscard]] int number() const { return numbers_[0]; }
  [[nodiscard]] bool is_whole() const {
    for (const int each : numbers_) {
      if (each != numbers_[0]) return false;
    }
    return true;
  }

 private:
  std::atomic<int>* alive_;
  std::array<int, 8> numbers_{};
};

}  // namespace

TEST(Snapshot, LoadsWhatWasStoredLast) {
  support::run_everywhere([](const stage&) {
    snapshot<std::string> it("one");
    EXPECT_EQ(*it.load(), "one");
    it.store("two");
    EXPECT_EQ(*it.load(), "two");
    it.update([](std::string& copy) { copy += " and a half"; });
    EXPECT_EQ(it.load()->size(), 14U);
  });
}

TEST(Snapshot, BeginsWithADefaultOrWithWhatItIsGiven) {
  EXPECT_EQ(*snapshot<int>().load(), 0);
  EXPECT_EQ(*snapshot<int>(4).load(), 4);
  EXPECT_EQ(*snapshot<std::string>(std::in_place, 3U, 'x').load(), "xxx");
  EXPECT_EQ(**snapshot<std::unique_ptr<int>>(std::make_unique<int>(5)).load(), 5);
}

TEST(Snapshot, KeepsAVersionAsLongAsSomebodyHasIt) {
  support::run_everywhere([](const stage&) {
    std::atomic<int> alive{0};
    {
      snapshot<tracked> it(std::in_place, alive, 1);
      auto first = it.load();
      it.update([](tracked& copy) { copy.set(2); });
      EXPECT_EQ(alive, 2);
      EXPECT_EQ(first->number(), 1);
      EXPECT_EQ(it.load()->number(), 2);
      auto copy = first;
      first.reset();
      EXPECT_EQ(alive, 2);
      EXPECT_EQ(copy->number(), 1);
      copy.reset();
      EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
  });
}

TEST(Snapshot, DestroysAVersionThatNobodyReadAsSoonAsItIsReplaced) {
  std::atomic<int> alive{0};
  snapshot<tracked> it(std::in_place, alive, 1);
  for (int i = 0; i < 10; ++i) {
    it.update([&](tracked& copy) { copy.set(i); });
    EXPECT_EQ(alive, 1);
  }
}

TEST(Snapshot, KeepsNoOtherVersionForOneThatIsHeldLong) {
  std::atomic<int> alive{0};
  snapshot<tracked> it(std::in_place, alive, 1);
  const auto held = it.load();
  for (int i = 0; i < 100; ++i) {
    it.update([&](tracked& copy) { copy.set(i); });
    EXPECT_EQ(it.load()->number(), i);
    EXPECT_EQ(alive, 2);
  }
}

TEST(Snapshot, MayGoBeforeThePointersToItsVersions) {
  std::atomic<int> alive{0};
  snapshot_ptr<tracked> held;
  {
    snapshot<tracked> it(std::in_place, alive, 7);
    held = it.load();
  }
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(held->number(), 7);
  held = {};
  EXPECT_EQ(alive, 0);
}

TEST(SnapshotPtr, IsAPointer) {
  snapshot<int> it(1);
  snapshot<int> other(1);
  snapshot_ptr<int> none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none, nullptr);
  EXPECT_EQ(none.get(), nullptr);
  auto a = it.load();
  auto b = it.load();
  EXPECT_TRUE(a);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, other.load());
  EXPECT_EQ(a.get(), &*b);
  b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): that is what is promised
  b = std::as_const(b);
  EXPECT_EQ(*b, 1);
  none = b;
  swap(none, a);
  EXPECT_EQ(*a, 1);
  none = std::as_const(none);
  EXPECT_FALSE(none);
}

TEST(Snapshot, LeavesWhatWasThereIfAnUpdateThrows) {
  std::atomic<int> alive{0};
  snapshot<tracked> it(std::in_place, alive, 1);
  const auto before = it.load();
  EXPECT_THROW(it.update([](tracked& copy) {
    copy.set(2);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(it.load(), before);
  EXPECT_EQ(alive, 1);
  it.update([](tracked& copy) { copy.set(3); });
  EXPECT_EQ(it.load()->number(), 3);
}

TEST(Snapshot, LosesNoUpdate) {
  support::run_everywhere([](const stage& where) {
    snapshot<int> it(0);
    {
      support::crew others(where);
      for (int i = 0; i < 6; ++i) {
        others.start([&] {
          for (int k = 0; k < 50; ++k) {
            it.update([&](int& copy) {
              if (k % 10 == 0) turnkey::this_goroutine::yield();
              ++copy;
            });
          }
        });
      }
    }
    EXPECT_EQ(*it.load(), 300);
  });
}

// The last pointer is let go of by somebody else, somewhere else, after a wait.
TEST(Snapshot, CanBePassedOnToOtherThreadsAndGoroutines) {
  support::run_everywhere([](const stage& where) {
    std::atomic<int> alive{0};
    {
      snapshot<tracked> it(std::in_place, alive, 1);
      for (int round = 0; round < 20; ++round) {
        std::vector<snapshot_ptr<tracked>> loaded(8);
        {
          support::crew others(where);
          for (auto& each : loaded) others.start([&] { each = it.load(); });
        }
        it.update([&](tracked& copy) { copy.set(round); });
        {
          support::crew others(where);
          for (auto& each : loaded) {
            others.start([&, mine = std::move(each)]() mutable {
              turnkey::this_goroutine::yield();
              const auto copy = mine;
              EXPECT_TRUE(copy->is_whole());
              mine.reset();
            });
          }
        }
        EXPECT_EQ(alive, 1);
      }
    }
    EXPECT_EQ(alive, 0);
  });
}

TEST(Snapshot, IsLoadedWhileSomebodyIsUpdatingIt) {
  support::run_everywhere([](const stage& where) {
    snapshot<int> it(1);
    support::start_line line(2);
    support::crew others(where);
    others.start([&] {
      it.update([&](int& copy) {
        line.wait();  // the writer is inside
        line.wait();  // and stays there until the other one has read
        copy = 2;
      });
    });
    line.wait();
    EXPECT_EQ(*it.load(), 1);
    line.wait();
    others.join();
    EXPECT_EQ(*it.load(), 2);
  });
}

TEST(Snapshot, ShowsEachReaderVersionsInTheirOrderAndWhole) {
  support::run_everywhere([](const stage& where) {
    std::atomic<int> alive{0};
    std::atomic<bool> is_over{false};
    {
      snapshot<tracked> it(std::in_place, alive, 0);
      support::crew others(where);
      for (int i = 0; i < 3; ++i) {
        others.start([&] {
          int last = 0;
          while (!is_over.load()) {
            const auto now = it.load();
            EXPECT_TRUE(now->is_whole());
            EXPECT_GE(now->number(), last);
            last = now->number();
            turnkey::this_goroutine::yield();
          }
        });
      }
      for (int i = 1; i <= 200; ++i) {
        it.update([&](tracked& copy) { copy.set(i); });
        turnkey::this_goroutine::yield();
      }
      is_over = true;
      others.join();
    }
    EXPECT_EQ(alive, 0);
  });
}

// A version's destructor runs when nothing is locked: it may use the same snapshot.
TEST(Snapshot, MayBeUsedByTheDestructorOfItsVersions) {
  struct curious {
    snapshot<curious>* home = nullptr;
    int* seen = nullptr;
    int number = 0;
    curious(snapshot<curious>* its_home, int* its_seen, int its_number)
        : home(its_home), seen(its_seen), number(its_number) {}
    curious(curious&& other) noexcept
        : home(std::exchange(other.home, nullptr)), seen(other.seen), number(other.number) {}
    curious(const curious&) = delete;
    curious& operator=(const curious&) = delete;
    curious& operator=(curious&&) = delete;
    ~curious() {
      if (home == nullptr || number == 0) return;
      *seen = home->load()->number;
      home->store(curious(nullptr, seen, 9));
    }
  };
  int seen = 0;
  snapshot<curious> it(std::in_place, nullptr, &seen, 0);
  it.store(curious(&it, &seen, 1));
  it.store(curious(nullptr, &seen, 2));
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(it.load()->number, 9);
}

TEST(Snapshot, MayHoldASnapshot) {
  std::atomic<int> alive{0};
  {
    snapshot<std::unique_ptr<snapshot<tracked>>> outer(std::make_unique<snapshot<tracked>>(std::in_place, alive, 3));
    const auto held = (*outer.load())->load();
    outer.store(nullptr);
    EXPECT_EQ(held->number(), 3);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Snapshot, SurvivesTheThreadsThatHaveLoadedIt) {
  std::atomic<int> alive{0};
  snapshot<tracked> it(std::in_place, alive, 1);
  std::vector<snapshot_ptr<tracked>> kept;
  for (int i = 0; i < 20; ++i) {
    std::thread([&] {
      for (int k = 0; k < 5; ++k) kept.push_back(it.load());
    }).join();
  }
  it.update([](tracked& copy) { copy.set(2); });
  EXPECT_EQ(alive, 2);
  for (auto& each : kept) EXPECT_EQ(each->number(), 1);
  kept.clear();
  EXPECT_EQ(alive, 1);
}

TEST(Snapshot, IsAnObjectAmongThousands) {
  std::atomic<int> alive{0};
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<snapshot<tracked>>> all;
    for (int i = 0; i < 5000; ++i) all.push_back(std::make_unique<snapshot<tracked>>(std::in_place, alive, i));
    for (int i = 0; i < 5000; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)]->load()->number(), i);
    EXPECT_EQ(alive, 5000);
    all.clear();
    EXPECT_EQ(alive, 0);
  }
}
