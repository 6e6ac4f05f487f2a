// What ThreadSanitizer sees: exactly the order that the library promises. Without it, that the programs run as told.
#include <gtest/gtest.h>

#include "misuse/child.hpp"

namespace {

using misuse::has_line;
using misuse::is_tsan;
using misuse::outcome;
using misuse::run;

constexpr const char* race_line = "WARNING: ThreadSanitizer: data race";

TEST(DataRace, OfTwoGoroutinesIsReportedWithTheirNamesOrLosesAnUpdate) {
  const outcome end = run("bank_without_lock");
  EXPECT_EQ(end.out, "90\n") << end;  // where 80 is due
  if (is_tsan) {
    EXPECT_NE(end.status, 0) << end;
    EXPECT_TRUE(has_line(end.err, {race_line})) << end;
    EXPECT_TRUE(has_line(end.err, {"withdrawal A"})) << end;
    EXPECT_TRUE(has_line(end.err, {"withdrawal B"})) << end;
  } else {
    EXPECT_EQ(end.status, 0) << end;
    EXPECT_EQ(end.err, "") << end;
  }
}

TEST(DataRace, IsNotReportedWhereTheLibraryPromisesAnOrder) {
  const outcome end = run("ordered", {}, {"TURNKEY_DEADLOCK=off"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "done\n") << end;
  EXPECT_EQ(end.err, "") << end;
}

TEST(DataRace, IsReportedWhereOnlyTheRunOfThingsMadeAnOrder) {
  for (const char* way : {"turns", "order of start", "goroutine exit", "num_goroutines", "sleep", "failed try_lock",
                          "read locks", "add"}) {
    SCOPED_TRACE(way);
    const outcome end = run("unordered", {way});
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

}  // namespace
