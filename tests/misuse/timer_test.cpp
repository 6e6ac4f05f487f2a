// Timers and the whole of a program: when everybody waits, when main returns, and what ThreadSanitizer sees. Each case is a
// program of its own, from programs/.
#include <gtest/gtest.h>

#include <string>

#include "misuse/child.hpp"

namespace {

using misuse::has_line;
using misuse::outcome;
using misuse::run;

testing::AssertionResult ended_quietly(const outcome& end, int status, const std::string& out) {
  if (end.status == status && end.err.empty() && end.out == out) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "not quietly with status " << status << " and \"" << out << "\": " << end;
}

TEST(TimerDeadlock, IsReportedIfNoTimerCanWakeAnybody) {
  for (const char* way :
       {"timers that nobody waits on", "fast ticker that nobody waits on", "stopped timer", "timer stopped under way",
        "stopped ticker in select", "tick received already", "destroyed timer", "stopped call", "call that has run"}) {
    SCOPED_TRACE(way);
    const outcome end = run("timer_deadlock", {way});
    EXPECT_EQ(end.status, 2) << end;
    EXPECT_TRUE(end.err.starts_with("fatal error: all goroutines are asleep - deadlock!\n")) << end;
    EXPECT_EQ(end.out, "") << end;
  }
}

TEST(TimerDeadlock, ReportSaysWhoWaitsForAChannel) {
  const outcome end = run("timer_deadlock", {"stopped timer"});
  EXPECT_TRUE(has_line(end.err, {"thread " + std::to_string(end.pid), "[chan receive"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"patient\" [chan receive"})) << end;
}

// One test for each, as each takes the while that a hasty detector would need.
class TimerPending : public testing::TestWithParam<const char*> {};

TEST_P(TimerPending, IsNoDeadlock) { EXPECT_TRUE(ended_quietly(run("timer_pending", {GetParam()}), 0, "done\n")); }

std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name;
  for (const char c : std::string(info.param)) name += c == ' ' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(With, TimerPending,
                         testing::Values("tick on main", "ticks on main", "select on main", "reset on main",
                                         "tick in goroutine", "ticks in goroutine", "select in goroutine",
                                         "reset in goroutine", "call", "call made by a call"),
                         test_name);

TEST(TimerExit, IsQuietWhileTimersArePending) {
  for (const char* way : {"calls", "calls without end", "receivers", "static ticker"}) {
    for (const int status : {0, 7}) {
      SCOPED_TRACE(way);
      EXPECT_TRUE(ended_quietly(run("timer_exit", {way, std::to_string(status)}), status, ""));
      EXPECT_TRUE(ended_quietly(run("timer_exit", {way, std::to_string(status), "exit"}), status, ""));
    }
  }
}

TEST(TimerDataRace, IsReportedWhereOnlyATimersComingDueMadeAnOrder) {
  for (const char* way : {"call", "tick"}) {
    SCOPED_TRACE(way);
    const outcome end = run("timer_unordered", {way});
    EXPECT_EQ(end.out, "done\n") << end;
    if (misuse::is_tsan) {
      EXPECT_NE(end.status, 0) << end;
      EXPECT_TRUE(has_line(end.err, {"WARNING: ThreadSanitizer: data race"})) << end;
      EXPECT_TRUE(has_line(end.err, {"first"})) << end;
    } else {
      EXPECT_TRUE(ended_quietly(end, 0, "done\n"));
    }
  }
}

}  // namespace
