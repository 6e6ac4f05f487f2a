// What is under the trace: rings that are read while they are written, and what records mean together. What a whole program's
// trace shows is in tests/misuse/trace_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "diagnostics/trace_ring.hpp"
#include "diagnostics/trace_story.hpp"
#include "platform/thread.hpp"
#include "support.hpp"

namespace {

using turnkey::diagnostics::mapped_array;
using turnkey::diagnostics::party;
using turnkey::diagnostics::trace_kind;
using turnkey::diagnostics::trace_record;
using turnkey::diagnostics::trace_ring;
using turnkey::diagnostics::trace_slice;
using turnkey::diagnostics::trace_story;
using turnkey::parking::reason;

// ---- Rings ----------------------------------------------------------------------------------------------------------

// A record whose words all follow from a number.
void add_number(std::uint64_t number) {
  trace_record made{};
  for (std::size_t i = 2; i < trace_record::words; ++i) made.word[i] = number * i;
  trace_ring::of_this_thread()->add(trace_kind::counts, {}, made, trace_record::words);
}

std::vector<std::uint64_t> numbers_of(std::int32_t thread) {
  mapped_array<trace_record> records;
  trace_ring::collect(records);
  std::vector<std::uint64_t> numbers;
  for (const trace_record& r : records) {
    if (r.thread() != thread || r.what() != trace_kind::counts) continue;
    numbers.push_back(r.word[2] / 2);
    for (std::size_t i = 2; i < trace_record::words; ++i) EXPECT_EQ(r.word[i], numbers.back() * i) << "it is torn";
  }
  return numbers;
}

TEST(TraceRing, IsReadWholeAndInOrderWhileItIsWritten) {
  trace_ring::set_capacity(64);
  std::atomic<std::int32_t> thread{0};
  std::atomic<bool> is_over{false};
  std::jthread writer([&] {
    for (std::uint64_t number = 0; !is_over.load(std::memory_order_relaxed); ++number) {
      add_number(number);
      if (number == 1000) thread.store(turnkey::platform::thread_id(), std::memory_order_release);
    }
  });
  support::await([&] { return thread.load(std::memory_order_acquire) != 0; });
  std::uint64_t last = 0;
  for (int look = 0; look < 2000; ++look) {
    const std::vector<std::uint64_t> numbers = numbers_of(thread.load());
    for (std::size_t i = 1; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], numbers[i - 1] + 1);
    if (numbers.empty()) continue;
    EXPECT_GE(numbers.back(), last);
    last = numbers.back();
  }
  is_over.store(true, std::memory_order_relaxed);
  writer.join();
  const std::vector<std::uint64_t> numbers = numbers_of(thread.load());
  EXPECT_GE(numbers.size(), 63u);
  EXPECT_LE(numbers.size(), 64u);
}

TEST(TraceRing, OfAThreadThatHasEndedIsTheNextOnes) {
  trace_ring::set_capacity(64);
  const trace_ring* first = nullptr;
  const trace_ring* second = nullptr;
  std::int32_t id = 0;
  std::thread([&] {
    id = turnkey::platform::thread_id();
    first = trace_ring::of_this_thread();
    add_number(7);
  }).join();
  // The kernel may need a moment to see that it has ended.
  support::await([&] { return !turnkey::platform::is_thread_there(id); });
  std::thread([&] { second = trace_ring::of_this_thread(); }).join();
  EXPECT_EQ(first, second);
  EXPECT_EQ(numbers_of(id), std::vector<std::uint64_t>{7});  // what it has recorded is there still
}

// ---- Stories --------------------------------------------------------------------------------------------------------

constexpr std::int32_t worker = 4'000'001;  // such threads there are none
constexpr std::int32_t other_worker = 4'000'002;
constexpr party writer = party::goroutine(1'000'000'000'007);  // nor such goroutines
constexpr party reader = party::goroutine(1'000'000'000'008);
constexpr std::uint64_t lock = 0x1000;
constexpr std::uint64_t other_lock = 0x2000;

class story {
 public:
  story& add(std::int64_t when, trace_kind what, party who, std::uint64_t object = 0, std::int32_t thread = worker,
             reason why = {}, party holder = {}) {
    trace_record made{};
    made.word = {static_cast<std::uint64_t>(when),
                 static_cast<std::uint64_t>(what) | static_cast<std::uint64_t>(why) << 8 |
                     static_cast<std::uint64_t>(thread) << 32,
                 who.word(), object, holder.word()};
    records_.push_back(made);
    return *this;
  }
  story& created(std::int64_t when, party who, party by, std::string_view its_name) {
    add(when, trace_kind::created, by, who.word());
    std::memcpy(&records_[records_.size() - 1].word[4], its_name.data(), its_name.size());
    return *this;
  }
  // `writer 10-20 running`, one a slice, of these three tracks, sorted.
  std::vector<std::string> tell(std::int64_t since = 0, std::int64_t now = 1000) {
    trace_story told(records_, since, now);
    told.tell();
    std::vector<std::string> lines;
    for (const trace_slice& s : told.slices()) {
      if (s.track != writer && s.track != reader && s.track != party::thread(worker)) continue;
      static constexpr const char* kinds[] = {"running", "runnable", "waiting", "holding", "carrying", "idle"};
      std::string line = s.track == writer ? "writer " : s.track == reader ? "reader " : "worker ";
      line += std::to_string(s.begin) + '-' + std::to_string(s.end) + ' ' + kinds[static_cast<int>(s.what)];
      if (s.what == trace_slice::kind::holding) line += s.object == lock ? " lock" : " other lock";
      if (s.depth != 0) line += " inside " + std::to_string(s.depth);
      if (s.waker == writer || (s.what == trace_slice::kind::runnable && s.other == writer)) line += ", by writer";
      if (s.is_unfinished) line += ", unfinished";
      lines.push_back(line);
    }
    wakes.clear();
    for (const auto& w : told.wakes()) wakes.push_back(std::to_string(w.from_time) + '-' + std::to_string(w.to_time));
    const auto* const track = told.find(writer);
    name = track != nullptr ? track->get_name() : "";
    std::ranges::sort(lines);
    return lines;
  }

  std::vector<std::string> wakes;
  std::string name;

 private:
  mapped_array<trace_record> records_;
};

using lines = std::vector<std::string>;

lines sorted(lines all) {
  std::ranges::sort(all);
  return all;
}

TEST(TraceStory, AWaitEndsWithTheWakeAndIsFollowedByTheTimeThatItTookToRun) {
  story told;
  told.add(10, trace_kind::runs, reader)
      .add(20, trace_kind::waits, reader, lock, worker, reason::mutex_lock, writer)
      .add(25, trace_kind::runs, writer)
      .add(30, trace_kind::wakes, writer, reader.word())
      .add(40, trace_kind::ended, writer)
      .add(50, trace_kind::runs, reader)
      .add(60, trace_kind::ended, reader)
      .add(70, trace_kind::idle, {});
  EXPECT_EQ(told.tell(), sorted({"reader 10-20 running", "reader 20-30 waiting, by writer",
                                 "reader 30-50 runnable, by writer", "reader 50-60 running", "writer 25-40 running",
                                 "worker 10-25 carrying", "worker 25-50 carrying", "worker 50-70 carrying"}));
  EXPECT_EQ(told.wakes, lines{"30-50"});
}

TEST(TraceStory, OneThatIsCreatedIsRunnableUntilItRuns) {
  story told;
  told.created(10, reader, writer, "reader").add(30, trace_kind::runs, reader).add(40, trace_kind::ended, reader);
  EXPECT_EQ(told.tell(),
            sorted({"reader 10-30 runnable, by writer", "reader 30-40 running", "writer 10-1000 running, unfinished"}));
  EXPECT_EQ(told.wakes, lines{"10-30"});
}

TEST(TraceStory, OneThatIsSignalledBeforeItWaitsIsWokenAtOnceAndAnOldSignalDoesNotCount) {
  story told;
  told.add(10, trace_kind::runs, reader)
      .add(15, trace_kind::wakes, writer, reader.word(), other_worker)
      .add(20, trace_kind::waits, reader, lock)
      .add(40, trace_kind::runs, reader)
      .add(45, trace_kind::wakes, party::thread(other_worker), reader.word(), other_worker)  // it has not waited then
      .add(50, trace_kind::waits, reader, lock)
      .add(60, trace_kind::wakes, writer, reader.word(), other_worker)
      .add(70, trace_kind::runs, reader);
  EXPECT_EQ(told.tell(), sorted({"reader 10-20 running", "reader 20-40 runnable, by writer", "reader 40-50 running",
                                 "reader 50-60 waiting, by writer", "reader 60-70 runnable, by writer",
                                 "reader 70-1000 running, unfinished", "writer 15-1000 running, unfinished",
                                 "worker 10-40 carrying", "worker 40-70 carrying"}));
}

TEST(TraceStory, OneThatYieldsIsRunnableAndMayGoOnOnAnotherThread) {
  story told;
  told.add(10, trace_kind::runs, reader)
      .add(20, trace_kind::runs, writer)
      .add(30, trace_kind::runs, reader, 0, other_worker)
      .add(40, trace_kind::ended, reader, 0, other_worker)
      .add(50, trace_kind::ended, writer)
      .add(50, trace_kind::idle, {});
  EXPECT_EQ(told.tell(), sorted({"reader 10-20 running", "reader 20-30 runnable", "reader 30-40 running",
                                 "writer 20-50 running", "worker 10-20 carrying", "worker 20-50 carrying"}));
  EXPECT_EQ(told.wakes, lines{});
}

TEST(TraceStory, LocksAreAroundWhatIsDoneUnderThemAndAreCutWhereTheyDoNotNest) {
  story told;
  told.add(10, trace_kind::runs, writer)
      .add(20, trace_kind::locks, writer, lock)
      .add(30, trace_kind::locks, writer, other_lock)
      .add(40, trace_kind::unlocks, writer, lock)
      .add(50, trace_kind::unlocks, writer, other_lock)
      .add(60, trace_kind::ended, writer)
      .add(60, trace_kind::idle, {});
  EXPECT_EQ(told.tell(), sorted({"writer 10-20 running", "writer 20-40 holding lock", "writer 20-30 running inside 1",
                                 "writer 30-40 holding other lock inside 1", "writer 30-40 running inside 2",
                                 "writer 40-50 holding other lock", "writer 40-50 running inside 1",
                                 "writer 50-60 running", "worker 10-60 carrying"}));
}

TEST(TraceStory, AnUnlockByAnotherEndsTheHoldersStretchAndOneOfAnUnknownLockDoesNothing) {
  story told;
  told.add(10, trace_kind::locks, writer, lock)
      .add(20, trace_kind::unlocks, reader, lock)
      .add(30, trace_kind::unlocks, reader, other_lock);
  EXPECT_EQ(told.tell(0, 40), sorted({"writer 10-20 holding lock", "writer 10-20 running inside 1",
                                      "writer 20-40 running, unfinished", "reader 20-40 running, unfinished"}));
}

TEST(TraceStory, WhatGoesOnGoesOnUntilNow) {
  story told;
  told.add(10, trace_kind::locks, writer, lock).add(20, trace_kind::waits, writer, other_lock);
  EXPECT_EQ(told.tell(0, 40), sorted({"writer 10-40 holding lock, unfinished", "writer 10-20 running inside 1",
                                      "writer 20-40 waiting inside 1, unfinished"}));
}

TEST(TraceStory, OfTheLastTimeIsCutAtItsBeginning) {
  story told;
  told.add(10, trace_kind::locks, writer, lock)
      .add(20, trace_kind::wakes, writer, reader.word())
      .add(30, trace_kind::unlocks, writer, lock)
      .add(40, trace_kind::ended, writer);
  EXPECT_EQ(told.tell(25),
            sorted({"writer 25-30 holding lock", "writer 25-30 running inside 1", "writer 30-40 running"}));
  EXPECT_EQ(told.tell(50), lines{});
}

TEST(TraceStory, KnowsVeryMany) {
  story told;
  constexpr int many = 5000;
  for (int i = 0; i < many; ++i) {
    const party each = party::goroutine(2'000'000'000'000 + static_cast<std::uint64_t>(i));
    told.created(10 + i, each, writer, "one of many");
  }
  told.created(many + 10, writer, reader, "the writer");
  EXPECT_EQ(told.tell(0, many + 20), sorted({"reader 5010-5020 running, unfinished", "writer 10-5010 running",
                                             "writer 5010-5020 runnable, unfinished"}));
  EXPECT_EQ(told.name, "the writer");
}

}  // namespace
