// Channels: what their deadlocks are told, what ThreadSanitizer sees of them, what they allocate.
#include <gtest/gtest.h>

#include "misuse/child.hpp"

namespace {

using misuse::has_line;
using misuse::is_tsan;
using misuse::outcome;
using misuse::run;

constexpr const char* deadlock_line = "fatal error: all goroutines are asleep - deadlock!\n";
constexpr const char* race_line = "WARNING: ThreadSanitizer: data race";

TEST(ChanDeadlock, NamesEveryReasonInGosWords) {
  const outcome end = run("chan_deadlock", {"every reason"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(end.err.starts_with(deadlock_line)) << end;
  EXPECT_TRUE(has_line(end.err, {"\"receives\" [chan receive", "]: waits on channel 0x", ", 0 of 0"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"sends\" [chan send", "]: waits on channel 0x", ", 2 of 2"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"receives from nil\" [chan receive (nil chan)"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"sends to nil\" [chan send (nil chan)"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"selects\" [select"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"selects one\" [chan send", "2 of 2"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"selects nil\" [select"})) << end;
  EXPECT_TRUE(has_line(end.err, {"\"selects one nil\" [chan receive (nil chan)"})) << end;
  EXPECT_TRUE(has_line(end.err, {"thread ", "[select (no cases)"})) << end;
}

TEST(ChanDeadlock, IsNotHiddenByLimitsThatNeverCome) {
  const outcome end = run("chan_deadlock", {"unlimited limits"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(end.err.starts_with(deadlock_line)) << end;
}

TEST(ChanDeadlock, IsFoundWhereASelectWaitsForItself) {
  const outcome end = run("chan_deadlock", {"alone"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(end.err.starts_with(deadlock_line)) << end;
}

TEST(ChanDataRace, IsNotReportedWhereChannelsPromiseAnOrder) {
  const outcome end = run("chan_ordered");
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "done\n") << end;
  EXPECT_EQ(end.err, "") << end;
}

TEST(ChanDataRace, IsReportedWhereChannelsPromiseNone) {
  for (const char* way : {"receive with room", "receive from the buffer", "two sends", "a channel for two", "size",
                          "send on closed", "failed receive", "another value"}) {
    SCOPED_TRACE(way);
    const outcome end = run("chan_unordered", {way});
    EXPECT_EQ(end.out, "done\n") << end;
    if (is_tsan) {
      EXPECT_NE(end.status, 0) << end;
      EXPECT_TRUE(has_line(end.err, {race_line})) << end;
      EXPECT_TRUE(has_line(end.err, {"first"})) << end;
    } else {
      EXPECT_EQ(end.status, 0) << end;
      EXPECT_EQ(end.err, "") << end;
    }
  }
}

TEST(Chan, AllocatesNothingOnceItIsMade) {
  if (is_tsan) GTEST_SKIP() << "its bookkeeping allocates";
  const outcome end = run("chan_allocations");
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "0\n") << end;
}

}  // namespace
