// TURNKEY_OS_MUTEX: a mutex of the system's that a goroutine holds while it waits.
#include <gtest/gtest.h>

#include <string>

#include "misuse/child.hpp"

namespace {

using misuse::count;
using misuse::outcome;
using misuse::run;

constexpr const char* report = "OS mutex held across a wait: mutex 0x";

outcome watched(const char* name) { return run("os_mutex", {name}, {"TURNKEY_OS_MUTEX=1"}); }

TEST(OsMutex, IsReportedWithBothPlacesIfAGoroutineWaitsWhileItHoldsIt) {
  const outcome end = watched("a lock");
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "end\n") << end;
  EXPECT_EQ(end.err.find(report), 0u) << end;
  EXPECT_NE(end.err.find("\"worker\", which comes to wait [sleep]\n"), end.err.npos) << end;
  const std::size_t waits = end.err.find("waits here:\n");
  const std::size_t locked = end.err.find("locked it here:\n");
  const std::size_t napping = end.err.find("nap()");
  ASSERT_NE(locked, end.err.npos) << end;
  EXPECT_TRUE(waits < napping && napping < locked) << end;
  EXPECT_NE(end.err.find("nap_under_a_lock()", locked), end.err.npos) << end;
}

TEST(OsMutex, MayBeOneForReadersAndMayHaveBeenTried) {
  const outcome shared = watched("a read lock");
  EXPECT_EQ(count(shared.err, report), 1) << shared;
  EXPECT_NE(shared.err.find("nap_under_a_read_lock()"), shared.err.npos) << shared;
  const outcome tried = watched("a tried lock");
  EXPECT_EQ(count(tried.err, report), 1) << tried;
  EXPECT_NE(tried.err.find("[chan receive]"), tried.err.npos) << tried;
}

TEST(OsMutex, IsReportedOnceForAPlace) {
  const outcome end = watched("often");
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(count(end.err, report), 1) << end;
}

TEST(OsMutex, IsNoneOfOursAndNotOneThatIsUnlockedOrAThreads) {
  for (const char* each : {"unlocked", "a condition", "a thread", "ours"}) {
    const outcome end = watched(each);
    EXPECT_EQ(end.status, 0) << each << end;
    EXPECT_EQ(end.err, "") << each << end;
  }
}

TEST(OsMutex, IsNotWatchedUnlessAskedFor) {
  EXPECT_EQ(run("os_mutex", {"a lock"}).err, "");
  EXPECT_EQ(run("os_mutex", {"a lock"}, {"TURNKEY_OS_MUTEX=0"}).err, "");
  const outcome wrong = run("os_mutex", {"unlocked"}, {"TURNKEY_OS_MUTEX=std"});
  EXPECT_EQ(wrong.err, "turnkey: TURNKEY_OS_MUTEX=std is ignored: it takes 0, 1\n") << wrong;
  EXPECT_EQ(wrong.out, "end\n");
}

}  // namespace
