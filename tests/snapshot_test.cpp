#include <turnkey/snapshot.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
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

using pointed = std::shared_ptr<int>;  // null when it has been moved from
struct limited_form {
  const char* name;
  std::function<bool(snapshot<pointed>&, pointed&&)> store;
  std::function<bool(snapshot<pointed>&, const std::function<void(pointed&)>&)> update;
};

// The forms of store() and update() that end only when it is their turn.
std::vector<limited_form> patient_forms() {
  static const std::stop_source nobody_asks;
  return {
      {"for an hour", [](auto& s, pointed&& v) { return s.store_for(1h, std::move(v)); },
       [](auto& s, auto& f) { return s.update_for(1h, f); }},
      {"until an hour from now by the wall clock",
       [](auto& s, pointed&& v) { return s.store_until(std::chrono::system_clock::now() + 1h, std::move(v)); },
       [](auto& s, auto& f) { return s.update_until(std::chrono::system_clock::now() + 1h, f); }},
      {"with a token that can never be stopped",
       [](auto& s, pointed&& v) { return s.store(std::stop_token(), std::move(v)); },
       [](auto& s, auto& f) { return s.update(std::stop_token(), f); }},
      {"with a token that nobody stops",
       [](auto& s, pointed&& v) { return s.store(nobody_asks.get_token(), std::move(v)); },
       [](auto& s, auto& f) { return s.update(nobody_asks.get_token(), f); }},
  };
}

// Those that try once.
std::vector<limited_form> timed_out_forms() {
  return {
      {"for no time", [](auto& s, pointed&& v) { return s.store_for(0s, std::move(v)); },
       [](auto& s, auto& f) { return s.update_for(-1h, f); }},
      {"until the beginning of time",
       [](auto& s, pointed&& v) { return s.store_until(std::chrono::steady_clock::time_point(), std::move(v)); },
       [](auto& s, auto& f) { return s.update_until(std::chrono::steady_clock::time_point(), f); }},
  };
}

limited_form stopped_before() {
  static std::stop_source stopped;
  stopped.request_stop();
  return {"with a stop requested before",
          [](auto& s, pointed&& v) { return s.store(stopped.get_token(), std::move(v)); },
          [](auto& s, auto& f) { return s.update(stopped.get_token(), f); }};
}

void must_not_run(pointed& /*copy*/) { ADD_FAILURE() << "must not run"; }
// Both do nothing.
void expect_no_write(snapshot<pointed>& it, const limited_form& form) {
  auto value = std::make_shared<int>(5);
  EXPECT_FALSE(form.store(it, std::move(value))) << form.name;
  EXPECT_NE(value, nullptr) << form.name;  // NOLINT(bugprone-use-after-move): that is what is promised
  EXPECT_FALSE(form.update(it, must_not_run)) << form.name;
}

// Somebody who is in update(), and so has the turn of writers, until its end().
support::somebody_inside slow_writer(const stage& where, snapshot<pointed>& it) {
  return {where, [&it](const auto& stay) {
            it.update([&](pointed& copy) {
              stay();
              copy = std::make_shared<int>(*copy + 1);
            });
          }};
}

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

TEST(Snapshot, IsWrittenAtOnceByAnyFormIfNobodyElseWrites) {
  support::run_everywhere([](const stage&) {
    snapshot<pointed> it(std::make_shared<int>(0));
    for (const auto& forms : {patient_forms(), timed_out_forms()}) {
      for (const auto& form : forms) {
        auto value = std::make_shared<int>(1);
        EXPECT_TRUE(form.store(it, std::move(value))) << form.name;
        EXPECT_EQ(value, nullptr) << form.name;  // NOLINT(bugprone-use-after-move): it has been stored
        EXPECT_EQ(**it.load(), 1) << form.name;
        EXPECT_TRUE(form.update(it, [](pointed& copy) { copy = std::make_shared<int>(*copy + 1); })) << form.name;
        EXPECT_EQ(**it.load(), 2) << form.name;
      }
    }
    const auto before = it.load();
    expect_no_write(it, stopped_before());
    EXPECT_EQ(it.load(), before);
  });
}

TEST(Snapshot, TakesValuesToBeMovedAndToBeCopied) {
  snapshot<std::unique_ptr<int>> moved;
  EXPECT_TRUE(moved.store_for(1h, std::make_unique<int>(1)));
  EXPECT_TRUE(moved.store_until(std::chrono::steady_clock::now(), std::make_unique<int>(2)));
  EXPECT_TRUE(moved.store(std::stop_source().get_token(), std::make_unique<int>(3)));
  EXPECT_EQ(**moved.load(), 3);
  snapshot<std::string> copied;
  const std::string text(100, 'x');
  std::string other = text;
  EXPECT_TRUE(copied.store_for(0s, text));
  EXPECT_EQ(*copied.load(), text);
  EXPECT_TRUE(copied.store_until(std::chrono::system_clock::now() + 1h, other));
  EXPECT_TRUE(copied.store(std::stop_token(), other));
  EXPECT_EQ(other, text);
  EXPECT_TRUE(copied.store_for(1h, "letters"));
  EXPECT_EQ(*copied.load(), "letters");
  EXPECT_TRUE(copied.update_for(1h, [tail = std::make_unique<char>('!')](std::string& copy) { copy += *tail; }));
  EXPECT_EQ(*copied.load(), "letters!");
}

TEST(Snapshot, StaysAsItIsIfAWriterGivesUpBeforeItsTurn) {
  support::run_everywhere([](const stage& where) {
    snapshot<pointed> it(std::make_shared<int>(0));
    auto other = slow_writer(where, it);
    for (const auto& form : timed_out_forms()) expect_no_write(it, form);
    expect_no_write(it, stopped_before());
    EXPECT_FALSE(it.update_for(1ms, must_not_run));
    EXPECT_EQ(**it.load(), 0);
    other.end();
    EXPECT_EQ(**it.load(), 1);
    it.store(nullptr);
  });
}

TEST(Snapshot, LetsAWriterGiveUpWhenAStopIsRequested) {
  support::run_everywhere([](const stage& where) {
    snapshot<pointed> it(std::make_shared<int>(0));
    std::stop_source stop;
    support::watched storing;
    support::watched updating;
    auto other = slow_writer(where, it);
    support::crew others(where);
    others.start(storing, [&] { EXPECT_FALSE(it.store(stop.get_token(), nullptr)); });
    others.start(updating, [&] { EXPECT_FALSE(it.update(stop.get_token(), must_not_run)); });
    EXPECT_TRUE(storing.comes_to_wait());
    EXPECT_TRUE(updating.comes_to_wait());
    stop.request_stop();
    others.join();
    other.end();
    EXPECT_EQ(**it.load(), 1);
  });
}

TEST(Snapshot, IsWrittenByWhoeverWaitsWhenItsTurnComesInTime) {
  support::run_everywhere([](const stage& where) {
    for (const auto& form : patient_forms()) {
      snapshot<pointed> it(std::make_shared<int>(0));
      support::watched storing;
      support::watched updating;
      int seen = 0;
      auto other = slow_writer(where, it);
      support::crew others(where);
      others.start(updating, [&] {
        EXPECT_TRUE(form.update(it, [&](pointed& copy) {
          seen = *copy;
          copy = std::make_shared<int>(*copy + 10);
        })) << form.name;
      });
      EXPECT_TRUE(updating.comes_to_wait()) << form.name;
      others.start(storing, [&] { EXPECT_TRUE(form.store(it, std::make_shared<int>(100))) << form.name; });
      EXPECT_TRUE(storing.comes_to_wait()) << form.name;
      other.end();
      others.join();
      // In either order.
      EXPECT_TRUE((seen == 1 && **it.load() == 100) || (seen == 100 && **it.load() == 110)) << form.name << seen;
    }
  });
}

TEST(Snapshot, LetsOthersWriteAfterAnExceptionInAnyForm) {
  snapshot<pointed> it(std::make_shared<int>(0));
  const auto before = it.load();
  for (const auto& forms : {patient_forms(), timed_out_forms()}) {
    for (const auto& form : forms) {
      EXPECT_THROW(form.update(it,
                               [](pointed& copy) {
                                 copy = nullptr;
                                 throw std::runtime_error("no");
                               }),
                   std::runtime_error)
          << form.name;
      EXPECT_EQ(it.load(), before) << form.name;
    }
  }
  EXPECT_TRUE(it.store_for(0s, nullptr));
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
