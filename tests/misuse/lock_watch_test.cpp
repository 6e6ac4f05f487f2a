// TURNKEY_LOCK_ORDER, TURNKEY_HELD and TURNKEY_SLOW_WAIT: what is reported, how often, and what is not.
#include "misuse/child.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

namespace {

using misuse::count;
using misuse::outcome;
using misuse::run;

outcome in_order(const char* name) { return run("lock_watch", {name}, {"TURNKEY_LOCK_ORDER=1"}); }

testing::AssertionResult ended(const outcome& end) {
  if (end.status == 0 && end.out == "end\n") return testing::AssertionSuccess();
  return testing::AssertionFailure() << "it did not end well: " << end;
}

testing::AssertionResult said(const outcome& end, const std::string& pattern) {
  if (std::regex_search(end.err, std::regex(pattern, std::regex::multiline))) return ended(end);
  return testing::AssertionFailure() << "nothing matches " << pattern << ": " << end;
}

testing::AssertionResult said_nothing(const outcome& end) {
  if (!end.err.empty()) return testing::AssertionFailure() << "a false alarm: " << end;
  return ended(end);
}

constexpr const char* inversion = "lock order inversion\n";

TEST(LockOrder, NamesBothSidesWithTheirStacksOnce) {
  const outcome end = in_order("two orders");
  EXPECT_EQ(count(end.err, inversion), 1) << end;
  EXPECT_TRUE(said(end,
                   "^goroutine [0-9]+ \"back\" takes lock \"accounts\" 0x[0-9a-f]+ and holds lock 0x[0-9a-f]+\n"
                   "goroutine [0-9]+ \"there\" took lock 0x[0-9a-f]+ and held lock \"accounts\" 0x[0-9a-f]+\n"));
  EXPECT_TRUE(said(end, "\"back\", now:\n( .*\n)* +.*nest"));
  EXPECT_TRUE(said(end, "\"there\", earlier:\n( .*\n)* +.*nest"));
}

TEST(LockOrder, SeesThreadsAndRingsAndReadersThatMeetWriters) {
  EXPECT_TRUE(said(in_order("two orders, a thread"), "^thread [0-9]+ takes lock \"accounts\""));
  const outcome ring = in_order("around");
  EXPECT_TRUE(said(ring, "\"three\" takes lock \"accounts\""));
  EXPECT_TRUE(said(ring, "\"one\" took lock 0x[0-9a-f]+ and held lock \"accounts\""));
  EXPECT_TRUE(said(ring, "\"two\" took "));
  EXPECT_TRUE(said(in_order("reader and writer"),
                   "\"writer\" takes lock \"table\" 0x[0-9a-f]+ and holds lock \"accounts\" 0x[0-9a-f]+\n"
                   "goroutine [0-9]+ \"reader\" took lock \"accounts\" 0x[0-9a-f]+ and held lock \"table\" 0x[0-9a-f]+ "
                   "\\(to read\\)\n"));
}

TEST(LockOrder, GivesNoAlarmWhereTheTwoCannotMeet) {
  for (const char* each : {"one alone", "a gate", "readers", "both at once", "tried", "on the stack", "very many",
                           "unlocked by another", "hand over hand"}) {
    SCOPED_TRACE(each);
    EXPECT_TRUE(said_nothing(in_order(each)));
  }
}

TEST(LockOrder, SeesThoseWhoHadToWait) {
  EXPECT_TRUE(said(in_order("after a wait"),
                   "^thread [0-9]+ takes lock \"accounts\" 0x[0-9a-f]+ and holds lock 0x[0-9a-f]+\n"
                   "goroutine [0-9]+ \"there\" took lock "));
}

TEST(LockOrder, LooksAgainAtWhatIsFamiliarOnceALockHasAnotherName) {
  const outcome back = in_order("renamed, and back");
  EXPECT_EQ(count(back.err, inversion), 1) << back;
  EXPECT_TRUE(
      said(back,
           "^goroutine [0-9]+ \"back\" takes lock \"accounts\" 0x[0-9a-f]+ and holds lock \"pair\" 0x[0-9a-f]+\n"
           "thread [0-9]+ took lock \"pair\" 0x[0-9a-f]+ and held lock \"accounts\" "));
  EXPECT_TRUE(said(in_order("renamed while one is held"),
                   "^thread [0-9]+ takes lock \"pair\" 0x[0-9a-f]+ and holds lock \"accounts\" 0x[0-9a-f]+\n"
                   "goroutine [0-9]+ \"back\" took lock \"accounts\" "));
}

TEST(LockOrder, KnowsANewLockFromTheOneThatWasThereBefore) {
  for (const char* each : {"made anew", "made anew, tried", "made anew, within a time"}) {
    SCOPED_TRACE(each);
    EXPECT_TRUE(said(in_order(each),
                     "^so far nothing\n"
                     "lock order inversion\n"
                     "thread [0-9]+ takes lock 0x[0-9a-f]+ and holds lock \"accounts\" 0x[0-9a-f]+\n"
                     "goroutine [0-9]+ \"back\" took lock \"accounts\" "));
  }
}

TEST(LockOrder, CountsAGateNoMoreOnceAnotherHasOpenedIt) {
  EXPECT_TRUE(said(in_order("a gate that another opens"),
                   "^so far nothing\n"
                   "lock order inversion\n"
                   "thread [0-9]+ takes lock 0x[0-9a-f]+ and holds lock \"accounts\" 0x[0-9a-f]+\n"
                   "goroutine [0-9]+ \"back\" took lock \"accounts\" "));
}

TEST(LockOrder, IsNotWatchedUnlessAskedFor) {
  EXPECT_TRUE(said_nothing(run("lock_watch", {"two orders"})));
  EXPECT_TRUE(said_nothing(run("lock_watch", {"two orders"}, {"TURNKEY_LOCK_ORDER=0"})));
  EXPECT_TRUE(said(run("lock_watch", {"one alone"}, {"TURNKEY_LOCK_ORDER=yes"}),
                   "^turnkey: TURNKEY_LOCK_ORDER=yes is ignored: it takes 0, 1\n"));
}

outcome held(const char* name, const char* limit = "TURNKEY_HELD=20ms") { return run("lock_watch", {name}, {limit}); }

TEST(HeldTooLong, NamesTheHolderAndWhatItDoesWhileItHolds) {
  const outcome asleep = held("asleep");
  EXPECT_EQ(count(asleep.err, "lock held too long: "), 1) << asleep;
  EXPECT_TRUE(said(asleep,
                   "^lock held too long: mutex \"accounts\" 0x[0-9a-f]+, for [0-9.]+ ms so far, by goroutine [0-9]+ "
                   "\"sleeper\"\n\ngoroutine [0-9]+ \"sleeper\" \\[sleep, [0-9.]+ ms\\]:\n( .*\n)* +.*hold_asleep"));
  EXPECT_TRUE(said(held("busy"),
                   "^lock held too long: rw_mutex \"table\" 0x[0-9a-f]+, for [0-9.]+ ms so far, by goroutine [0-9]+ "
                   "\"worker\", for reading\n\ngoroutine [0-9]+ \"worker\" \\[running\\]:\n"));
  EXPECT_TRUE(said(held("a thread"), "^lock held too long: mutex \"accounts\" [^\n]*, by thread [0-9]+\n"));
}

TEST(HeldTooLong, IsNotSaidOfShortOnes) {
  EXPECT_TRUE(said_nothing(held("short", "TURNKEY_HELD=30s")));
  EXPECT_TRUE(said_nothing(run("lock_watch", {"asleep"})));
}

TEST(HeldTooLong, NamesTheVariableThatHasNoTime) {
  for (const std::string value : {"soon", "10", "-1ms", "0s", "10 ms"}) {
    EXPECT_TRUE(said(held("short", ("TURNKEY_HELD=" + value).c_str()),
                     "^turnkey: TURNKEY_HELD=" + value + " is ignored: it takes a time above 0, such as 10ms"));
  }
}

TEST(SlowWait, NamesWhoWaitsAndShowsWhatTheHolderDoes) {
  const outcome end = run("lock_watch", {"slow wait"}, {"TURNKEY_SLOW_WAIT=50ms"});
  EXPECT_EQ(count(end.err, "slow wait: goroutine"), 1) << end;
  EXPECT_TRUE(said(end,
                   "^slow wait: goroutine [0-9]+ \"waiter\" \\[sync\\.Mutex\\.Lock, [0-9.]+ ms\\]: waits for mutex "
                   "\"accounts\" 0x[0-9a-f]+, held by goroutine [0-9]+ \"holder\"\n"));
  EXPECT_TRUE(said(end, "^the holder:\ngoroutine [0-9]+ \"holder\" \\[sleep, [0-9.]+ ms\\]:\n( .*\n)* +.*hold_asleep"));
}

}  // namespace
