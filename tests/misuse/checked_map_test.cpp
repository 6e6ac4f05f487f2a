// What checked_map says to those who use it at once, or while they iterate.
#include <gtest/gtest.h>

#include <string>

#include "misuse/child.hpp"

namespace {

using misuse::has_line;
using misuse::outcome;
using misuse::run;

constexpr const char* writes = "fatal error: concurrent map writes\n";
constexpr const char* read_and_write = "fatal error: concurrent map read and map write\n";
constexpr const char* iteration_and_write = "fatal error: concurrent map iteration and map write\n";

// ThreadSanitizer may see the race on the map itself before the map does, and says so first.
testing::AssertionResult died(const outcome& end, const std::string& message) {
  if (end.status != 2) return testing::AssertionFailure() << "status is not 2: " << end;
  if (misuse::is_tsan ? end.err.find(message) == std::string::npos : !end.err.starts_with(message)) {
    return testing::AssertionFailure() << "it does not say: " << message << end;
  }
  if (!end.out.empty()) return testing::AssertionFailure() << "it went on: " << end;
  return testing::AssertionSuccess();
}

testing::AssertionResult names_both_goroutines(const outcome& end) {
  for (const char* name : {"\"first\"", "\"second\""}) {
    if (!has_line(end.err, {"goroutine ", name})) return testing::AssertionFailure() << "no " << name << ": " << end;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult names_two_threads(const outcome& end) {
  const int named = misuse::count(end.err, "\nthread ");
  if (named == 2) return testing::AssertionSuccess();
  return testing::AssertionFailure() << named << " threads are named: " << end;
}

TEST(ConcurrentMapWrites, EndTheProgramAndNameBothWriters) {
  const outcome goroutines = run("checked_map", {"two writers", "goroutines"}, {"TURNKEY_MAXPROCS=2"});
  EXPECT_TRUE(died(goroutines, writes));
  EXPECT_TRUE(names_both_goroutines(goroutines));
  EXPECT_TRUE(has_line(goroutines.err, {"[running]: writes to the map at 0x"})) << goroutines;
  EXPECT_TRUE(has_line(goroutines.err, {"[running]: writes to it"})) << goroutines;
  const outcome threads = run("checked_map", {"two writers", "threads"});
  EXPECT_TRUE(died(threads, writes));
  EXPECT_TRUE(names_two_threads(threads));
}

TEST(ConcurrentMapReadAndMapWrite, EndTheProgramAndNameBothSides) {
  const outcome goroutines = run("checked_map", {"reader and writer", "goroutines"}, {"TURNKEY_MAXPROCS=2"});
  EXPECT_TRUE(died(goroutines, read_and_write));
  EXPECT_TRUE(names_both_goroutines(goroutines));
  EXPECT_TRUE(has_line(goroutines.err, {"goroutine ", "\"first\" [running]: reads the map at 0x"})) << goroutines;
  EXPECT_TRUE(has_line(goroutines.err, {"goroutine ", "\"second\" [running]: writes to it"})) << goroutines;
  EXPECT_TRUE(has_line(goroutines.err, {"read_for_ever"})) << goroutines;
  EXPECT_TRUE(has_line(goroutines.err, {"write_for_ever"})) << goroutines;
  const outcome threads = run("checked_map", {"reader and writer", "threads"});
  EXPECT_TRUE(died(threads, read_and_write));
  EXPECT_TRUE(names_two_threads(threads));
}

TEST(ConcurrentMapIterationAndMapWrite, EndTheProgramAndNameBothSides) {
  struct way {
    const char* name;
    const char* procs;
  };
  for (const auto& [name, procs] :
       {way{"iterator and eraser on one worker", "TURNKEY_MAXPROCS=1"},
        way{"iterator and writer", "TURNKEY_MAXPROCS=2"}, way{"iterator and writer", "TURNKEY_MAXPROCS=16"}}) {
    SCOPED_TRACE(procs);
    const outcome goroutines = run("checked_map", {name, "goroutines"}, {procs});
    EXPECT_TRUE(died(goroutines, iteration_and_write));
    EXPECT_TRUE(names_both_goroutines(goroutines));
    EXPECT_TRUE(has_line(goroutines.err, {"goroutine ", "\"first\" [running]: iterates over the map at 0x"}))
        << goroutines;
    EXPECT_TRUE(has_line(goroutines.err, {"iterate_for_ever"})) << goroutines;
  }
  const outcome threads = run("checked_map", {"iterator and writer", "threads"});
  EXPECT_TRUE(died(threads, iteration_and_write));
  EXPECT_TRUE(names_two_threads(threads));
}

TEST(ConcurrentMapIterationAndMapWrite, IsNoticedAlsoWhenTheWriteIsOver) {
  for (const char* procs : {"TURNKEY_MAXPROCS=1", "TURNKEY_MAXPROCS=2"}) {
    SCOPED_TRACE(procs);
    const outcome goroutines = run("checked_map", {"iterator and writer in turns", "goroutines"}, {procs});
    EXPECT_TRUE(died(goroutines, iteration_and_write));
    EXPECT_TRUE(has_line(goroutines.err, {"goroutine ", "\"first\" [running]: iterates over the map at 0x"}))
        << goroutines;
    EXPECT_TRUE(has_line(goroutines.err, {": has changed it since"})) << goroutines;
  }
  const outcome threads = run("checked_map", {"iterator and writer in turns", "threads"});
  EXPECT_TRUE(died(threads, iteration_and_write));
  EXPECT_TRUE(names_two_threads(threads));
}

TEST(MapChangedDuringIteration, EndsTheProgram) {
  for (const char* way : {"inserts while iterating", "erases while iterating", "looks at what it erased",
                          "clears while iterating", "erases twice"}) {
    SCOPED_TRACE(way);
    const outcome end = run("checked_map", {way, "alone"});
    EXPECT_TRUE(died(end, "fatal error: map changed during iteration\n"));
    EXPECT_TRUE(has_line(end.err, {"thread ", "[running]: iterates over the map at 0x"})) << end;
    EXPECT_TRUE(has_line(end.err, {"it = m.erase(it)"})) << end;
  }
}

TEST(EndOfAMap, IsNoElement) {
  const outcome end = run("checked_map", {"uses the end", "alone"});
  EXPECT_TRUE(died(end, "fatal error: iterator at the end of a map was used\n"));
}

TEST(ConcurrentMapReadAndMapWrite, MayBeTheSameThreadTwice) {
  const outcome end = run("checked_map", {"reads inside itself", "alone"});
  EXPECT_TRUE(died(end, read_and_write));
  EXPECT_TRUE(has_line(end.err, {"the other one, which writes to it, has not come back"})) << end;
}

TEST(ConcurrentMapWrites, MayBeTheSameThreadTwice) {
  const outcome end = run("checked_map", {"writes inside itself", "alone"});
  EXPECT_TRUE(died(end, writes));
  EXPECT_TRUE(has_line(end.err, {"the other one, which writes to it, has not come back"})) << end;
}

TEST(ConcurrentMapWrites, AreNoticedByTheSecondToLeave) {
  const outcome end = run("checked_map", {"leaves what is free", "alone"});
  EXPECT_TRUE(died(end, writes));
}

}  // namespace
