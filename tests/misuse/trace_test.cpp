// TURNKEY_TRACE: what is in the file, however the process ends, and mistakes in the variables. The file is read, and checked, by
// tests/trace_read.py.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "matches.hpp"
#include "misuse/child.hpp"

namespace {

using misuse::outcome;
using misuse::run;
using support::matches;

// A file of the test's own, which goes with it.
class trace_file {
 public:
  explicit trace_file(const std::string& name)
      : path_(::testing::TempDir() + "trace_" + name + '.' + std::to_string(getpid()) + ".json") {}
  trace_file(const trace_file&) = delete;
  trace_file& operator=(const trace_file&) = delete;
  ~trace_file() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string variable() const { return "TURNKEY_TRACE=" + path_; }
  // What the reader prints; it fails if something is wrong with the file.
  [[nodiscard]] std::string read() const {
    const std::string command = "python3 " TURNKEY_TESTS_DIR "/trace_read.py " + path_ + " 2>&1";
    std::FILE* const pipe = popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> part{};
    while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), size);
    EXPECT_EQ(pclose(pipe), 0) << text;
    return text;
  }

 private:
  std::string path_;
};

// What the trace of a case shows that ends well.
std::string trace_of(const std::string& name, const std::vector<std::string>& more = {}) {
  const trace_file file("of_a_case");
  std::vector<std::string> variables{file.variable()};
  variables.insert(variables.end(), more.begin(), more.end());
  const outcome end = run("trace", {name}, variables);
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.err, "") << end;
  return file.read();
}

TEST(Trace, ShowsWhoHeldWhoWaitedAndWhoWokeWhom) {
  const std::string trace = trace_of("contend");
  EXPECT_TRUE(matches(trace, R"(^\[goroutine 1 "owner"\] holds accounts lock=mutex "accounts" 0x[0-9a-f]+ )"
                             R"(by=sync\.Mutex\.Lock$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine [0-9]+ "patient"\] sync\.Mutex\.Lock for=mutex "accounts" 0x[0-9a-f]+ )"
                             R"(held_by=goroutine 1 "owner" woken_by=goroutine 1 "owner"$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine 1 "owner"\] wakes \[goroutine [0-9]+ "patient"\]$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine [0-9]+ "patient"\] runnable made_ready_by=goroutine 1 "owner"$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine [0-9]+ "patient"\] holds accounts )"));
  EXPECT_TRUE(matches(trace, R"(^\[turnkey-worker [0-9]+\] goroutine [0-9]+ "patient"$)"));
  EXPECT_TRUE(matches(trace, "^overwritten: 0$"));
}

TEST(Trace, IsValidWithAnyNames) {
  const std::string trace = trace_of("odd names");
  EXPECT_TRUE(matches(trace, R"(mark "tab\\x09 "quoted" back\\slash \\x01\\x7f"$)"));
  EXPECT_TRUE(matches(trace,
                      "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd caf\xc3\xa9 "
                      "\xf0\x9f\x94\x91: -7$"));
  EXPECT_TRUE(matches(trace, R"(holds "\\\\x0a\\x1f)"
                             "\xef\xbf\xbd"));
  EXPECT_TRUE(matches(trace, R"(held_by=goroutine 1 "\\x02")"
                             "\xef\xbf\xbd\""));
}

TEST(Trace, CountsReadersThatAWriterWaitsFor) {
  const std::string trace = trace_of("readers");
  EXPECT_TRUE(matches(trace, R"("reader"\] reads prices lock=rw_mutex "prices" 0x[0-9a-f]+ by=sync\.RWMutex\.RLock$)"));
  EXPECT_TRUE(matches(trace,
                      R"("writer"\] sync\.RWMutex\.Lock for=rw_mutex "prices" 0x[0-9a-f]+ held_by=[12] readers? )"
                      R"(woken_by=goroutine [0-9]+ "reader"$)"));
  EXPECT_TRUE(matches(trace, R"("writer"\] holds prices )"));
}

TEST(Trace, ShowsThreadsBesideGoroutines) {
  const std::string trace = trace_of("thread waits");
  EXPECT_TRUE(matches(trace, R"(^\[.* [0-9]+\] sync\.Mutex\.Lock for=mutex 0x[0-9a-f]+ held_by=goroutine 1 "owner" )"
                             R"(woken_by=goroutine 1 "owner"$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine 1 "owner"\] wakes \[.* [0-9]+\]$)"));
  EXPECT_TRUE(matches(trace, R"(^\[goroutine 1 "owner"\] runnable made_ready_by=thread [0-9]+$)"));
}

TEST(Trace, NestsLocksThatAreLetGoInAnotherOrderOrByAnother) {
  const std::string trace = trace_of("across");
  // B is cut where A goes.
  EXPECT_TRUE(matches(trace, R"("across"\] holds A [^]*"across"\] holds B [^]*"across"\] holds B )"));
  EXPECT_TRUE(matches(trace, R"("third"\] holds A )"));
  EXPECT_FALSE(matches(trace, R"("across"\] holds A [^\n]*unfinished)"));
}

TEST(Trace, TellsTimersFromThoseWhoWake) {
  const std::string trace = trace_of("timers and stops");
  EXPECT_TRUE(matches(trace, R"("sleeper"\] sleep woken_by=a timer$)"));
  EXPECT_TRUE(matches(trace,
                      R"("stopped"\] sync\.Mutex\.Lock for=mutex 0x[0-9a-f]+ held_by=goroutine [0-9]+ "stopper" )"
                      R"(woken_by=goroutine [0-9]+ "stopper"$)"));
}

TEST(Trace, KeepsTheLastEventsAndSaysHowManyAreGone) {
  const std::string trace = trace_of("overwrite", {"TURNKEY_TRACE_EVENTS=16"});
  EXPECT_TRUE(matches(trace, "busy: 999$"));
  EXPECT_FALSE(matches(trace, "busy: 900$"));
  EXPECT_TRUE(matches(trace, "^overwritten: 9[0-9][0-9]|^overwritten: [0-9]{4,}"));
  // It has waited since before all that is kept.
  EXPECT_TRUE(
      matches(trace, R"(^\[goroutine 1 "waits for ever"\] chan receive for=channel 0x[0-9a-f]+ unfinished=True$)"));
}

TEST(Trace, OfTheLastTimeHasNothingOlder) {
  const std::string trace = trace_of("old and new", {"TURNKEY_TRACE_LAST=100ms"});
  EXPECT_FALSE(matches(trace, "mark \"old\""));
  EXPECT_FALSE(matches(trace, "\"old\"\\] running"));
  std::smatch times;
  const std::regex line("from ([0-9.]+) ms to ([0-9.]+) ms");
  ASSERT_TRUE(std::regex_search(trace, times, line)) << trace;
  EXPECT_LE(std::stod(times[2]) - std::stod(times[1]), 100.001) << trace;
}

TEST(Trace, IsWrittenWhenMainReturnsAndOthersRun) {
  const std::string trace = trace_of("others running");
  EXPECT_TRUE(matches(trace, R"("spins"\] running on=thread [0-9]+)"));
  EXPECT_TRUE(matches(trace, R"("holds"\] holds mutex 0x[0-9a-f]+ lock=.* unfinished=True$)"));
  EXPECT_TRUE(matches(trace, R"("holds"\] sleep unfinished=True$)"));
}

TEST(Trace, IsWrittenWhenAGoroutineExits) {
  const trace_file file("exit");
  const outcome end = run("trace", {"exit in goroutine"}, {file.variable()});
  EXPECT_EQ(end.status, 3) << end;
  EXPECT_TRUE(matches(file.read(), R"("leaver"\] running on=thread [0-9]+)"));
}

TEST(Trace, IsWrittenBeforeADeadlockEndsTheProgram) {
  const trace_file file("deadlock");
  const outcome end = run("trace", {"deadlock"}, {file.variable()});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(matches(end.err, "^fatal error: all goroutines are asleep - deadlock!\n"));
  const std::string trace = file.read();
  EXPECT_TRUE(matches(trace, R"("patient"\] sync\.Mutex\.Lock for=mutex 0x[0-9a-f]+ held_by=thread [0-9]+ )"
                             R"(unfinished=True$)"));
  EXPECT_TRUE(matches(trace, R"(^\[.* [0-9]+\] holds mutex 0x[0-9a-f]+ lock=.* unfinished=True$)"));
  EXPECT_TRUE(matches(trace, R"(^\[.* [0-9]+\] sync\.WaitGroup\.Wait for=wait_group 0x[0-9a-f]+ unfinished=True$)"));
}

TEST(Trace, IsWrittenBeforeAPanicEndsTheProgramWhileOthersRecord) {
  const trace_file file("panic");
  const outcome end = run("trace", {"panic in a crowd"}, {file.variable(), "TURNKEY_TRACE_EVENTS=64"});
  EXPECT_EQ(end.status, 2) << end;
  EXPECT_TRUE(matches(end.err, "^panic: enough\n"));
  EXPECT_TRUE(matches(file.read(), "^overwritten: [0-9]+$"));
}

TEST(Trace, IsNotWrittenByAChildAfterFork) {
  const trace_file file("fork");
  const outcome end = run("trace", {"fork"}, {file.variable()});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_TRUE(matches(end.out, "^after the child: 0 bytes$")) << end;
  EXPECT_TRUE(matches(file.read(), "^overwritten: 0$"));
}

TEST(Trace, IsWrittenOnDemand) {
  const trace_file at_end("at_end");
  const trace_file here("here");
  const outcome end = run("trace", {"on demand"}, {at_end.variable(), "TRACE_HERE=" + here.path()});
  EXPECT_EQ(end.out, "written: 1, to nowhere: 0\nend\n") << end;
  EXPECT_TRUE(matches(here.read(), R"("patient"\] holds accounts )"));
  EXPECT_TRUE(matches(at_end.read(), R"("patient"\] holds accounts )"));
}

TEST(Trace, RecordsNothingUnlessAskedFor) {
  const outcome end = run("trace", {"off"});
  EXPECT_EQ(end.out, "0 events, started: 0, written: 0\nend\n") << end;
  EXPECT_EQ(end.err, "") << end;
}

TEST(Trace, CanBeStartedByTheProgramItself) {
  const outcome end = run("trace", {"by itself"});
  EXPECT_EQ(end.out, "started: 1, again: 1\n1\nlocks: 3\nend\n") << end;
}

TEST(TraceVariables, SayInOneLineWhatIsWrongAndTheProgramGoesOn) {
  const outcome no_file = run("trace", {"off"}, {"TURNKEY_TRACE=/nonexistent/folder/x.json"});
  EXPECT_EQ(no_file.err,
            "turnkey: TURNKEY_TRACE=/nonexistent/folder/x.json: the file cannot be written; there will be "
            "no trace\n");
  EXPECT_EQ(no_file.out, "0 events, started: 0, written: 0\nend\n") << no_file;

  const trace_file file("variables");
  const outcome last = run("trace", {"contend"}, {file.variable(), "TURNKEY_TRACE_LAST=soon"});
  EXPECT_EQ(last.status, 0) << last;
  EXPECT_EQ(last.err,
            "turnkey: TURNKEY_TRACE_LAST=soon is ignored: it takes a time above 0, such as 10ms, 1.5s or 2m\n");
  EXPECT_TRUE(matches(file.read(), R"("patient"\] holds accounts )"));

  const outcome events = run("trace", {"contend"}, {file.variable(), "TURNKEY_TRACE_EVENTS=many"});
  EXPECT_EQ(events.status, 0) << events;
  EXPECT_EQ(events.err, "turnkey: TURNKEY_TRACE_EVENTS=many is ignored: it takes an integer from 16 to 16777216\n");
  EXPECT_TRUE(matches(file.read(), R"("patient"\] holds accounts )"));
}

}  // namespace
