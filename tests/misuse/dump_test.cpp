// What SIGQUIT and diagnostics::dump show of programs that hang.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "matches.hpp"
#include "misuse/child.hpp"

namespace {

using misuse::child;
using misuse::count;
using misuse::has_line;
using misuse::outcome;
using misuse::run;
using support::matches;

bool has_libdw() { return !misuse::is_asan && ::dlopen("libdw.so.1", RTLD_LAZY) != nullptr; }

// What becomes of a program that gets a SIGQUIT when it says that it is ready.
outcome quit(const std::string& way, const std::vector<std::string>& environment = {}) {
  child process("dump", {way}, environment);
  if (process.wait_for_output("ready\n")) process.send_signal(SIGQUIT);
  return process.wait();
}

testing::AssertionResult dumped(const outcome& end) {
  if (end.status != 2) return testing::AssertionFailure() << "status is not 2: " << end;
  if (!end.err.starts_with("SIGQUIT: quit\n\n")) return testing::AssertionFailure() << "no dump: " << end;
  return testing::AssertionSuccess();
}

TEST(Quit, WritesWhatEverybodyWaitsForAndEndsTheProgramWithStatus2) {
  const outcome end = quit("waiting main", {"TURNKEY_DEADLOCK=off"});
  EXPECT_TRUE(dumped(end));
  EXPECT_TRUE(matches(end.err,
                      "^goroutine 1 \"reader\" \\[chan receive, [0-9.]+ m?s\\]: waits on channel 0x[0-9a-f]+, 0 of 0"));
  EXPECT_TRUE(has_line(end.err, {"receives()"})) << end;
  EXPECT_TRUE(has_line(end.err, {"created by ", "waiting_main()"})) << end;
  const std::string main_thread = "thread " + std::to_string(end.pid);
  EXPECT_TRUE(has_line(end.err, {main_thread, "[sync.Mutex.Lock", "]: waits for mutex 0x", "held by", main_thread}))
      << end;
  // ThreadSanitizer's runtime, where its threads may be, has no frame pointers.
  EXPECT_TRUE(misuse::is_tsan || matches(end.err, "^    turnkey::mutex::lock\\(\\).*\n.*waiting_main\\(\\)")) << end;
}

TEST(Quit, ShowsTheStackOfAGoroutineThatNeverLeavesTheCpu) {
  const outcome end = quit("spinning");
  EXPECT_TRUE(dumped(end));
  EXPECT_TRUE(matches(end.err, "^goroutine 1 \"spinner\" \\[running\\]:\n    .*spinning\\(\\)")) << end;
}

TEST(Quit, WorksWhileOthersAreInsideMalloc) {
  for (int i = 0; i < (misuse::is_sanitized ? 2 : 10); ++i) {
    const outcome end = quit("allocating");
    ASSERT_TRUE(dumped(end));
    ASSERT_TRUE(has_line(end.err, {"goroutine", "\"reader\" [chan receive"})) << end;
    ASSERT_TRUE(has_line(end.err, {"goroutine", "\"allocator\" [running]:"})) << end;
  }
}

TEST(Quit, WorksWhileSomebodyHasTheLockOfMallocForEver) {
  for (int i = 0; i < (misuse::is_sanitized ? 2 : 10); ++i) {
    const outcome end = quit("stopped in malloc");
    ASSERT_TRUE(dumped(end));
    ASSERT_TRUE(has_line(end.err, {"goroutine", "\"reader\" [chan receive"})) << end;
  }
}

TEST(Quit, LetsTheProgramGoOnIfItIsToldSo) {
  child process("dump", {"parked"}, {"TURNKEY_DUMP=continue"});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  for (int times = 1; times <= 3; ++times) {
    process.send_signal(SIGQUIT);
    while (count(process.so_far().err, "created by") < times) {
      ASSERT_TRUE(process.wait_for_more());
    }
  }
  process.write("x");
  const outcome& end = process.wait();
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "ready\ndone\n") << end;
  EXPECT_EQ(count(end.err, "SIGQUIT: quit\n"), 3) << end;
}

TEST(Quit, IsLeftAloneIfItIsToldSo) {
  const outcome end = quit("parked", {"TURNKEY_DUMP=off"});
  EXPECT_EQ(end.signal, SIGQUIT) << end;
  EXPECT_EQ(end.err, "") << end;
}

TEST(Quit, ComplainsInOneLineOfASettingThatMakesNoSense) {
  const outcome end = quit("parked", {"TURNKEY_DUMP=loud"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(
      end.err.starts_with("turnkey: TURNKEY_DUMP=loud is ignored: it takes exit, continue, off\nSIGQUIT: quit\n"))
      << end;
}

TEST(Quit, IsTheProgramsIfItHandlesOrIgnoresIt) {
  for (const char* way : {"own handler", "ignored"}) {
    SCOPED_TRACE(way);
    child process("dump", {way});
    ASSERT_TRUE(process.wait_for_output("ready\n"));
    process.send_signal(SIGQUIT);
    if (std::string_view(way) == "own handler") {
      EXPECT_TRUE(process.wait_for_output("handled\n"));
    }
    process.write("x");
    const outcome& end = process.wait();
    EXPECT_EQ(end.status, 0) << end;
    EXPECT_EQ(end.err, "") << end;
  }
}

TEST(Quit, OfAChildAfterForkEndsItAsEver) {
  child process("dump", {"after fork"});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  process.write("x");
  const outcome& end = process.wait();
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.err, "") << end;
}

TEST(Dump, IsOnlyWrittenWhenSomebodyAsks) {
  child process("dump", {"parked"});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  process.write("x");
  const outcome& end = process.wait();
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.err, "") << end;
}

// docs/diagnostics.md says how long it takes.
TEST(Dump, OfAHundredThousandGoroutinesIsOneEntry) {
  const outcome end = run("dump", {"many"});
  ASSERT_EQ(end.status, 0) << end;
  const std::string all = misuse::is_tsan ? "2000" : misuse::is_asan ? "10000" : "100000";
  EXPECT_TRUE(end.out.starts_with(all + " goroutines: ")) << end.out.substr(0, 200);
  EXPECT_EQ(count(end.out, ", " + all), 1);
  EXPECT_EQ(count(end.out, "receives()"), 1);
  EXPECT_EQ(count(end.out, "created by "), 1);
  EXPECT_GT(std::stod(end.err), 0);
}

TEST(Dump, NamesEachThingThatOneOfManyWaitsFor) {
  const outcome end = run("dump", {"many channels"});
  EXPECT_EQ(end.status, 0);
  EXPECT_EQ(count(end.out, "waits on channel 0x"), 2'000);
  EXPECT_EQ(count(end.out, "created by "), 1);
}

TEST(SourceLines, AreInReportsWhereLibdwIs) {
  if (!has_libdw()) GTEST_SKIP() << "there is no libdw.so.1";
  const outcome end = run("deadlock", {"relock in goroutine"});
  EXPECT_TRUE(matches(end.err, "^    \\S.*    \\S*/programs/deadlock\\.cpp:[0-9]+$")) << end;
  EXPECT_TRUE(matches(end.err, "^created by .*    \\S*/programs/deadlock\\.cpp:[0-9]+")) << end;
}

TEST(SourceLines, AreNotInThemIfTheyAreSwitchedOff) {
  const outcome end = run("deadlock", {"relock in goroutine"}, {"TURNKEY_SOURCE_LINES=off"});
  EXPECT_EQ(count(end.err, "deadlock.cpp:"), 0) << end;
  EXPECT_TRUE(matches(end.err, "^    \\S.*    misuse_deadlock\\+0x[0-9a-f]+$")) << end;
}

TEST(SourceLines, ComplainInOneLineOfASettingThatMakesNoSense) {
  const outcome end = run("deadlock", {"relock in goroutine"}, {"TURNKEY_SOURCE_LINES=many"});
  EXPECT_EQ(count(end.err, "TURNKEY_SOURCE_LINES=many is ignored: it takes on, off\n"), 1) << end;
}

}  // namespace
