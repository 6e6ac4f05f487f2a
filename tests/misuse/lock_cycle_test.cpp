// "deadlock: lock cycle": who is named, that the program goes on, and that what only looks like a cycle is not reported.
#include "misuse/child.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace {

using misuse::count;
using misuse::outcome;
using misuse::run;

constexpr const char* cycle_line = "deadlock: lock cycle\n";

// One cycle was reported, with these members in some order and rotation, and the program went on.
testing::AssertionResult reported(const outcome& end, const std::string& pattern) {
  if (end.status != 0 || end.out != "on\n") return testing::AssertionFailure() << "it did not go on: " << end;
  if (count(end.err, cycle_line) != 1) return testing::AssertionFailure() << "not one report: " << end;
  if (!end.err.starts_with(cycle_line)) return testing::AssertionFailure() << "something else first: " << end;
  if (!std::regex_search(end.err, std::regex(pattern, std::regex::multiline))) {
    return testing::AssertionFailure() << "nothing matches " << pattern << ": " << end;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult said_nothing(const outcome& end) {
  if (end.status != 0 || end.out != "on\n") return testing::AssertionFailure() << "it did not go on: " << end;
  if (!end.err.empty()) return testing::AssertionFailure() << "a false alarm: " << end;
  return testing::AssertionSuccess();
}

TEST(LockCycle, OfOneNamesTheLockAndItsHolder) {
  EXPECT_TRUE(reported(run("lock_cycle", {"self"}),
                       "^goroutine [0-9]+ \"clerk\" waits for mutex \"accounts\" 0x[0-9a-f]+, held by goroutine [0-9]+ "
                       "\"clerk\" itself, (since|just)"));
  EXPECT_TRUE(reported(run("lock_cycle", {"self, a thread"}),
                       "^thread ([0-9]+) waits for mutex \"accounts\" 0x[0-9a-f]+, held by thread \\1 itself, "));
}

TEST(LockCycle, OfOneMayBeAnUpgradeOfAReadLock) {
  EXPECT_TRUE(reported(run("lock_cycle", {"upgrade"}),
                       "^goroutine [0-9]+ \"clerk\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by goroutine [0-9]+ "
                       "\"clerk\" itself, "));
  EXPECT_TRUE(reported(run("lock_cycle", {"write, then read"}),
                       "^goroutine [0-9]+ \"clerk\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by goroutine [0-9]+ "
                       "\"clerk\" itself, "));
}

TEST(LockCycle, OfTwoNamesBothAndShowsBothStacks) {
  const outcome end = run("lock_cycle", {"two"});
  EXPECT_TRUE(reported(
      end, "^goroutine [0-9]+ \"transfer\" waits for mutex 0x[0-9a-f]+, held by goroutine [0-9]+ \"audit\", "));
  EXPECT_TRUE(reported(end,
                       "^goroutine [0-9]+ \"audit\" waits for mutex \"accounts\" 0x[0-9a-f]+, held by goroutine [0-9]+ "
                       "\"transfer\", "));
  EXPECT_TRUE(reported(end, "^goroutine [0-9]+ \"transfer\" \\[sync\\.Mutex\\.Lock\\]:\n( .*\n)* +.*lock_both"));
  EXPECT_TRUE(reported(end, "^goroutine [0-9]+ \"audit\" \\[sync\\.Mutex\\.Lock\\]:\n( .*\n)* +.*lock_both"));
}

TEST(LockCycle, MayMixGoroutinesAndThreads) {
  const outcome end = run("lock_cycle", {"a goroutine and a thread"});
  EXPECT_TRUE(reported(end, "^goroutine [0-9]+ \"one\" waits for mutex [^\n]*, held by thread [0-9]+, "));
  EXPECT_TRUE(reported(end, "^thread [0-9]+ waits for mutex [^\n]*, held by goroutine [0-9]+ \"one\", "));
}

TEST(LockCycle, OfAHundredNamesThemAll) {
  const outcome end = run("lock_cycle", {"a hundred"});
  EXPECT_TRUE(reported(end, "^goroutine [0-9]+ waits for mutex"));
  EXPECT_EQ(count(end.err, " waits for mutex "), 100) << end;
}

TEST(LockCycle, IncludesAReaderThatReadsAgainBehindAWriter) {
  const outcome end = run("lock_cycle", {"read again"});
  EXPECT_TRUE(reported(end,
                       "^goroutine [0-9]+ \"reader\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by readers, behind "
                       "the waiting writer goroutine [0-9]+ \"writer\", "));
  EXPECT_TRUE(
      reported(end,
               "^goroutine [0-9]+ \"writer\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by goroutine [0-9]+ "
               "\"reader\", "));
}

TEST(LockCycle, GoesThroughReadersAndMutexes) {
  const outcome end = run("lock_cycle", {"reader and mutex"});
  EXPECT_TRUE(
      reported(end, "\"reader\" waits for mutex \"accounts\" 0x[0-9a-f]+, held by goroutine [0-9]+ \"writer\""));
  EXPECT_TRUE(
      reported(end, "\"writer\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by goroutine [0-9]+ \"reader\""));
}

// Of three, whoever comes last: the reader waits for the clerk, who waits behind the writer, who waits for the reader.
TEST(LockCycle, GoesThroughAWriterThatSomebodyReadsBehind) {
  const outcome reads_last = run("lock_cycle", {"behind a writer"});
  EXPECT_TRUE(
      reported(reads_last,
               "^goroutine [0-9]+ \"clerk\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by readers, behind the "
               "waiting writer goroutine [0-9]+ \"first writer\""));
  EXPECT_TRUE(reported(reads_last,
                       "^goroutine [0-9]+ \"first writer\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by goroutine "
                       "[0-9]+ \"reader\""));
  const outcome writes_last = run("lock_cycle", {"behind a writer, who comes last"});
  EXPECT_TRUE(
      reported(writes_last,
               "^goroutine [0-9]+ \"clerk\" waits for rw_mutex \"table\" 0x[0-9a-f]+, held by readers, behind the "
               "waiting writer goroutine [0-9]+ \"second writer\""));
  EXPECT_TRUE(
      reported(writes_last, "\"reader\" waits for mutex \"accounts\" 0x[0-9a-f]+, held by goroutine [0-9]+ \"clerk\""));
  EXPECT_TRUE(said_nothing(run("lock_cycle", {"behind a writer for a while"})));
}

TEST(LockCycle, IsNotWhatALimitOrAStopWillEnd) {
  EXPECT_TRUE(said_nothing(run("lock_cycle", {"with a limit"})));
  EXPECT_TRUE(said_nothing(run("lock_cycle", {"with a stop"})));
}

TEST(LockCycle, IsNotAssumedOfAReadLockThatAnotherHasGivenBack) {
  EXPECT_TRUE(said_nothing(run("lock_cycle", {"given back by another"})));
}

TEST(LockCycle, IsNotSeenWhereLocksAreTakenInOrder) {
  EXPECT_TRUE(said_nothing(run("lock_cycle", {"in order"}, {"TURNKEY_MAXPROCS=4"})));
}

TEST(LockCycle, IsReportedBeforeTheProgramIsFoundAsleep) {
  const outcome end = run("lock_cycle", {"nobody else"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(end.err.starts_with(cycle_line)) << end;
  EXPECT_EQ(count(end.err, "fatal error: all goroutines are asleep - deadlock!\n"), 1) << end;
}

TEST(LockCycle, IsFatalOrIgnoredOnRequest) {
  const outcome fatal = run("lock_cycle", {"self"}, {"TURNKEY_DEADLOCK=fatal"});
  EXPECT_EQ(fatal.status, 2) << fatal;
  EXPECT_TRUE(fatal.err.starts_with("fatal error: deadlock: lock cycle\n")) << fatal;
  EXPECT_EQ(fatal.out, "") << fatal;

  EXPECT_TRUE(said_nothing(run("lock_cycle", {"self"}, {"TURNKEY_DEADLOCK=off"})));

  const outcome wrong = run("lock_cycle", {"self"}, {"TURNKEY_DEADLOCK=loud"});
  EXPECT_EQ(wrong.status, 0) << wrong;
  EXPECT_TRUE(wrong.err.starts_with("turnkey: TURNKEY_DEADLOCK=loud is ignored: it takes report, fatal, off\n"))
      << wrong;
  EXPECT_EQ(count(wrong.err, cycle_line), 1) << wrong;
}

}  // namespace
