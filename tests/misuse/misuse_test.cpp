// What the library says to misuse, and how the program ends: each case is a program of its own, from programs/.
#include "matches.hpp"
#include "misuse/child.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace {

using misuse::child;
using misuse::count;
using misuse::has_line;
using misuse::outcome;
using misuse::run;
using support::matches;

constexpr int fatal_status = 2;
constexpr const char* deadlock_line = "fatal error: all goroutines are asleep - deadlock!\n";

// The program died of what `first_line` says, which is the first that it said.
testing::AssertionResult died(const outcome& end, const std::string& first_line) {
  if (end.status != fatal_status) return testing::AssertionFailure() << "status is not " << fatal_status << ": " << end;
  if (!end.err.starts_with(first_line)) return testing::AssertionFailure() << "not first: " << first_line << end;
  if (!end.out.empty()) return testing::AssertionFailure() << "it went on: " << end;
  return testing::AssertionSuccess();
}

// The program ended as it wanted to, and nobody complained about anything.
testing::AssertionResult ended_quietly(const outcome& end, int status, const std::string& out) {
  if (end.status != status) return testing::AssertionFailure() << "status is not " << status << ": " << end;
  if (!end.err.empty()) return testing::AssertionFailure() << "something on stderr: " << end;
  if (end.out != out) return testing::AssertionFailure() << "stdout is not \"" << out << "\": " << end;
  return testing::AssertionSuccess();
}

// --- unlock -------------------------------------------------------------------------------------------------------

struct unlock_case {
  const char* way;
  const char* message;
};
constexpr const char* unlock_of_mutex = "fatal error: sync: unlock of unlocked mutex\n";
constexpr const char* unlock_of_rw_mutex = "fatal error: sync: Unlock of unlocked RWMutex\n";
constexpr const char* unlock_shared_of_rw_mutex = "fatal error: sync: RUnlock of unlocked RWMutex\n";
constexpr unlock_case unlock_cases[] = {
    {"mutex: unlock", unlock_of_mutex},
    {"mutex: lock, unlock, unlock", unlock_of_mutex},
    {"rw_mutex: unlock", unlock_of_rw_mutex},
    {"rw_mutex: lock_shared, unlock", unlock_of_rw_mutex},
    {"rw_mutex: lock, unlock, unlock", unlock_of_rw_mutex},
    {"rw_mutex: unlock_shared", unlock_shared_of_rw_mutex},
    {"rw_mutex: lock, unlock_shared", unlock_shared_of_rw_mutex},
    {"rw_mutex: lock_shared, unlock_shared, unlock_shared", unlock_shared_of_rw_mutex},
    {"rw_mutex: many reads, unlock", unlock_of_rw_mutex},
    {"rw_mutex: many reads, unlock_shared", unlock_shared_of_rw_mutex},
};

TEST(UnlockOfUnlocked, EndsTheProgramAndCannotBeCaughtOnAThread) {
  for (const unlock_case& each : unlock_cases) {
    SCOPED_TRACE(each.way);
    const outcome end = run("unlock_unlocked", {each.way});
    EXPECT_TRUE(died(end, each.message));
    EXPECT_TRUE(has_line(end.err, {"thread " + std::to_string(end.pid), "[running]:"})) << end;
  }
}

TEST(UnlockOfUnlocked, EndsTheProgramAndCannotBeCaughtInAGoroutine) {
  for (const unlock_case& each : unlock_cases) {
    SCOPED_TRACE(each.way);
    const outcome end = run("unlock_unlocked", {each.way, "goroutine"});
    EXPECT_TRUE(died(end, each.message));
    EXPECT_TRUE(matches(end.err, "^goroutine [1-9][0-9]* \"culprit\" \\[running\\]:")) << end;
  }
}

// --- exceptions ---------------------------------------------------------------------------------------------------

TEST(UncaughtException, EndsTheProgramWithItsWordsAndItsGoroutine) {
  for (const char* way : {"std::exception", "wait_group task", "after a park", "among others"}) {
    SCOPED_TRACE(way);
    const outcome end = run("uncaught_exception", {way});
    EXPECT_TRUE(died(end, "panic: no such account\n"));
    EXPECT_TRUE(matches(end.err, "^goroutine [1-9][0-9]* \"teller\" \\[running\\]:")) << end;
  }
}

TEST(UncaughtException, OfAGoroutineWithoutANameIsReportedWithItsNumber) {
  const outcome end = run("uncaught_exception", {"unnamed"});
  EXPECT_TRUE(died(end, "panic: no such account\n"));
  EXPECT_TRUE(matches(end.err, "^goroutine [1-9][0-9]* \\[running\\]:"));
}

TEST(UncaughtException, NeedNotBeAStdException) {
  for (const char* way : {"int", "class"}) {
    SCOPED_TRACE(way);
    const outcome end = run("uncaught_exception", {way});
    EXPECT_TRUE(died(end, "panic: "));
    EXPECT_TRUE(has_line(end.err, {"panic: ", std::string_view(way) == "int" ? "int" : "oops"})) << end;
    EXPECT_TRUE(matches(end.err, "^goroutine [1-9][0-9]* \"teller\" \\[running\\]:"));
  }
}

TEST(UncaughtException, ShowsTheNameThatTheGoroutineWasGivenEvenIfTheStringHasChanged) {
  const outcome end = run("uncaught_exception", {"renamed"});
  EXPECT_TRUE(died(end, "panic: no such account\n"));
  EXPECT_TRUE(has_line(end.err, {"\"teller of the central branch\" [running]:"})) << end;
}

TEST(UncaughtException, ShowsTheFirst31BytesOfALongName) {
  const outcome end = run("uncaught_exception", {"long name"});
  EXPECT_TRUE(died(end, "panic: no such account\n"));
  EXPECT_TRUE(has_line(end.err, {"\"a name that is much longer than\" [running]:"})) << end;
}

// As Go: main's return does not cut off a report that has begun.
TEST(UncaughtException, IsReportedInFullOrNotAtAllWhenMainReturnsMeanwhile) {
  const int runs = misuse::is_sanitized ? 10 : 50;
  for (int i = 0; i < runs; ++i) {
    const outcome end = run("uncaught_exception", {"main returns"});
    if (end.status == 0) {
      EXPECT_TRUE(ended_quietly(end, 0, ""));
    } else {
      EXPECT_TRUE(died(end, "panic: no such account\n"));
      EXPECT_TRUE(has_line(end.err, {"\"teller\" [running]:"})) << end;
    }
  }
}

// --- stacks -------------------------------------------------------------------------------------------------------

TEST(StackOverflow, EndsTheProgramWithTheGoroutinesName) {
  for (const char* bytes : {"0", "16384", "1048576", "8388608"}) {
    SCOPED_TRACE(bytes);
    const outcome end = run("stack_overflow", {bytes});
    EXPECT_TRUE(died(end, "fatal error: stack overflow\n"));
    EXPECT_TRUE(matches(end.err, "^goroutine [1-9][0-9]* \"deep\" \\[running\\]:"));
  }
}

TEST(WildPointer, InAGoroutineIsNoStackOverflow) {
  const outcome end = run("wild_pointer");
  EXPECT_FALSE(end.timed_out) << end;
  EXPECT_EQ(count(end.err, "fatal error"), 0) << end;
  if (misuse::is_sanitized) {
    EXPECT_GT(count(end.err, "SEGV") + count(end.err, "runtime error"), 0) << end;  // the sanitizer's own report
  } else {
    EXPECT_EQ(end.signal, SIGSEGV) << end;
  }
}

// --- go -----------------------------------------------------------------------------------------------------------

TEST(GoOfNothing, EndsTheProgramAndCannotBeCaught) {
  for (const char* way : {"function pointer", "function pointer with argument", "named", "member function pointer",
                          "std::function", "const std::function", "wait_group", "task_group", "in a goroutine"}) {
    SCOPED_TRACE(way);
    EXPECT_TRUE(died(run("go_nil", {way}), "fatal error: go of nil func value\n"));
  }
}

// --- deadlock -----------------------------------------------------------------------------------------------------

// The words come first unless a lock cycle, which is reported as it closes, comes before them.
testing::AssertionResult died_of_deadlock(const outcome& end) {
  if (end.err.find(std::string("\n") + deadlock_line) != std::string::npos &&
      end.err.starts_with("deadlock: lock cycle")) {
    return died(end, "");
  }
  return died(end, deadlock_line);
}

std::string main_thread(const outcome& end) { return "thread " + std::to_string(end.pid); }

TEST(Deadlock, OfOneThreadThatLocksTwiceIsReportedThoughThereIsNoGoroutine) {
  const outcome end = run("deadlock", {"relock"});
  EXPECT_TRUE(died_of_deadlock(end));
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.Mutex.Lock", "held by", main_thread(end)})) << end;
}

TEST(Deadlock, OfAGoroutineThatLocksTwiceIsReported) {
  const outcome end = run("deadlock", {"relock in goroutine"});
  EXPECT_TRUE(died_of_deadlock(end));
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"twice\" [sync.Mutex.Lock", "held by", "\"twice\""})) << end;
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.WaitGroup.Wait"})) << end;
}

TEST(Deadlock, NamesTheHolderOfALockThatIsNeverUnlocked) {
  const outcome end = run("deadlock", {"lock never unlocked"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"patient\" [sync.Mutex.Lock", "held by goroutine", "\"forgetful\""}))
      << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"forgetful\" [sync.WaitGroup.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.WaitGroup.Wait"})) << end;
}

TEST(Deadlock, SaysSoIfTheHolderOfTheLockHasEnded) {
  const outcome end = run("deadlock", {"holder has ended"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.Mutex.Lock", "held by", "ended"})) << end;
}

TEST(Deadlock, NamesMainAsTheHolder) {
  const outcome end = run("deadlock", {"held by main"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {"\"patient\" [sync.Mutex.Lock", "held by " + main_thread(end)})) << end;
}

TEST(Deadlock, OfAWaitGroupThatIsNeverDoneIsReported) {
  const outcome end = run("deadlock", {"wait_group never done"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.WaitGroup.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"waits for main\" [semacquire"})) << end;
}

TEST(Deadlock, BetweenThreadsAndGoroutinesIsReported) {
  const outcome end = run("deadlock", {"threads and goroutines"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(matches(end.err, "^thread [0-9]+ \\[sync\\.Mutex\\.Lock.*held by thread [0-9]+")) << end;
  EXPECT_TRUE(matches(end.err, "^thread [0-9]+ \\[sync\\.WaitGroup\\.Wait"));
  EXPECT_TRUE(matches(end.err, "^goroutine [0-9]+ \"worker\" \\[sync\\.Mutex\\.Lock.*held by thread [0-9]+"));
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[semacquire"})) << end;
}

TEST(Deadlock, IsReportedAlsoWhenTheMainThreadHasEnded) {
  const outcome end = run("deadlock", {"main has ended"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"left alone\" [semacquire"})) << end;
}

TEST(Deadlock, ReportSpellsEachReasonToWaitAsGoDoes) {
  const outcome end = run("deadlock", {"every reason"});
  EXPECT_TRUE(died(end, deadlock_line));
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"in once\" [sync.WaitGroup.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for mutex\" [sync.Mutex.Lock", "held by " + main_thread(end)})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for writing\" [sync.RWMutex.Lock", "held by " + main_thread(end)}))
      << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for reading\" [sync.RWMutex.RLock", "held by " + main_thread(end)}))
      << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for group\" [sync.WaitGroup.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for once\" [sync.Once.Do"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for condition\" [sync.Cond.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for tokens\" [semacquire"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"for tasks\" [sync.WaitGroup.Wait"})) << end;
  EXPECT_TRUE(has_line(end.err, {"goroutine", "\"task\" [semacquire"})) << end;
  EXPECT_TRUE(has_line(end.err, {main_thread(end), "[sync.WaitGroup.Wait"})) << end;
}

TEST(Deadlock, IsReportedAfterMuchHasHappened) { EXPECT_TRUE(died(run("deadlock", {"after work"}), deadlock_line)); }

TEST(Deadlock, IsReportedThoughSomeHaveALimitThatNeverComes) {
  EXPECT_TRUE(died(run("deadlock", {"unlimited limits"}), deadlock_line));
}

TEST(Deadlock, IsReportedWithOneWorkerAndWithMany) {
  for (const char* procs : {"TURNKEY_MAXPROCS=1", "TURNKEY_MAXPROCS=16"}) {
    SCOPED_TRACE(procs);
    EXPECT_TRUE(died(run("deadlock", {"after work"}, {procs}), deadlock_line));
    EXPECT_TRUE(died(run("deadlock", {"every reason"}, {procs}), deadlock_line));
  }
}

// --- no deadlock --------------------------------------------------------------------------------------------------

// One test for each, as each takes the while that a hasty detector would need.
class NoDeadlock : public testing::TestWithParam<const char*> {};

TEST_P(NoDeadlock, IsReportedWhileSomethingElseMayWakeThoseWhoWait) {
  EXPECT_TRUE(ended_quietly(run("not_a_deadlock", {GetParam()}), 0, "done\n"));
}

// GoogleTest wants names of letters and digits.
std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name;
  bool is_start = true;
  for (const char c : std::string_view(info.param)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      name += is_start ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    }
    is_start = std::isalnum(static_cast<unsigned char>(c)) == 0;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(With, NoDeadlock,
                         testing::Values("sleeping goroutine", "yielding goroutine", "busy goroutine", "timed wait",
                                         "sleeping main", "timed wait of main", "busy main", "busy thread",
                                         "sleeping thread", "thread in std::condition_variable", "main in join"),
                         test_name);

class NoDeadlockUntilTheParentWrites : public testing::TestWithParam<const char*> {};

TEST_P(NoDeadlockUntilTheParentWrites, ToWhatAThreadOfControlReads) {
  child process("not_a_deadlock", {GetParam()});
  ASSERT_TRUE(process.wait_for_output("reading\n")) << process.wait();
  // The time that a hasty detector would need; what comes after it is the same whether it has passed or not.
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  process.write("x");
  EXPECT_TRUE(ended_quietly(process.wait(), 0, "reading\ndone\n"));
}

INSTANTIATE_TEST_SUITE_P(With, NoDeadlockUntilTheParentWrites,
                         testing::Values("thread in read", "goroutine in blocking", "goroutine in read"), test_name);

// --- the end of the program ---------------------------------------------------------------------------------------

class MainReturns : public testing::TestWithParam<const char*> {};

TEST_P(MainReturns, AndTheProgramEndsWithItsStatusAndWithoutAWord) {
  for (const int status : {0, 7}) {
    SCOPED_TRACE(status);
    EXPECT_TRUE(ended_quietly(run("main_returns", {GetParam(), std::to_string(status)}), status, ""));
  }
}

TEST_P(MainReturns, AndSoDoesAProgramWhoseMainCallsExit) {
  for (const int status : {0, 7}) {
    SCOPED_TRACE(status);
    EXPECT_TRUE(ended_quietly(run("main_returns", {GetParam(), std::to_string(status), "exit"}), status, ""));
  }
}

INSTANTIATE_TEST_SUITE_P(WhileGoroutinesAre, MainReturns,
                         testing::Values("spinning", "yielding", "throwing", "locking", "starting", "asleep", "napping",
                                         "parked", "blocking", "reading", "never started"),
                         test_name);

TEST(Exit, InAGoroutineEndsTheProgramWithItsStatus) {
  for (const char* way : {"alone", "among others", "main has ended"}) {
    SCOPED_TRACE(way);
    EXPECT_TRUE(ended_quietly(run("exit_in_goroutine", {way}), 3, "destroyed\n"));
  }
}

TEST(StaticDestructor, MayUseTheLibraryWhileGoroutinesAreAlive) {
  for (const char* way : {"others parked", "others yielding", "others ended"}) {
    SCOPED_TRACE(way);
    EXPECT_TRUE(ended_quietly(run("static_destructor", {way}), 5, "closed after 3 entries\n"));
  }
}

// A goroutine that has stopped for ever may have the lock. Then the program can only end, with the status that it had.
TEST(StaticDestructor, ThatWantsALockOfAStoppedGoroutineDoesNotHang) {
  for (int i = 0; i < 5; ++i) {
    const outcome end = run("static_destructor", {"others locking"});
    ASSERT_EQ(end.status, 5) << end;
    ASSERT_EQ(end.err, "") << end;
  }
}

TEST(StaticInitialisation, MayStartGoroutinesAndWaitForThem) {
  EXPECT_TRUE(ended_quietly(run("static_start"), 0, "45\n"));
}

// --- settings -----------------------------------------------------------------------------------------------------

std::string default_settings() { return run("settings").out; }

TEST(Environment, SetsHowManyGoroutinesMayRunAtOnce) {
  EXPECT_TRUE(ended_quietly(run("settings", {}, {"TURNKEY_MAXPROCS=1"}), 0, "max_procs 1\nran\n"));
  EXPECT_TRUE(ended_quietly(run("settings", {}, {"TURNKEY_MAXPROCS=3"}), 0, "max_procs 3\nran\n"));
  EXPECT_TRUE(ended_quietly(run("settings", {}, {"TURNKEY_MAXPROCS=4096"}), 0, "max_procs 4096\nran\n"));
}

TEST(Environment, ThatMakesNoSenseIsReportedInOneLineAndTheProgramGoesOn) {
  for (const char* setting :
       {"TURNKEY_MAXPROCS=abc", "TURNKEY_MAXPROCS=0", "TURNKEY_MAXPROCS=-1", "TURNKEY_MAXPROCS=4097",
        "TURNKEY_MAXPROCS=99999999", "TURNKEY_MAXPROCS=99999999999999999999", "TURNKEY_MAXPROCS=2x"}) {
    SCOPED_TRACE(setting);
    const outcome end = run("settings", {}, {setting});
    EXPECT_EQ(end.status, 0) << end;
    EXPECT_EQ(end.out, default_settings()) << end;
    EXPECT_EQ(misuse::lines(end.err), 1) << end;
    EXPECT_TRUE(has_line(end.err, {"TURNKEY_MAXPROCS"})) << end;
    EXPECT_TRUE(has_line(end.err, {std::string_view(setting).substr(std::string_view("TURNKEY_MAXPROCS=").size())}))
        << end;
  }
}

TEST(Environment, CanMakeAFatalErrorEndWithSigabrt) {
  const outcome unlock = run("unlock_unlocked", {"mutex: unlock"}, {"TURNKEY_FATAL=abort"});
  EXPECT_EQ(unlock.signal, SIGABRT) << unlock;
  EXPECT_TRUE(unlock.err.starts_with(unlock_of_mutex)) << unlock;

  const outcome panic = run("uncaught_exception", {"std::exception"}, {"TURNKEY_FATAL=abort"});
  EXPECT_EQ(panic.signal, SIGABRT) << panic;
  EXPECT_TRUE(panic.err.starts_with("panic: no such account\n")) << panic;

  const outcome deadlock = run("deadlock", {"wait_group never done"}, {"TURNKEY_FATAL=abort"});
  EXPECT_EQ(deadlock.signal, SIGABRT) << deadlock;
  EXPECT_TRUE(deadlock.err.starts_with(deadlock_line)) << deadlock;

  const outcome overflow = run("stack_overflow", {"0"}, {"TURNKEY_FATAL=abort"});
  EXPECT_EQ(overflow.signal, SIGABRT) << overflow;
  EXPECT_TRUE(overflow.err.starts_with("fatal error: stack overflow\n")) << overflow;
}

// When it is read is the library's choice: at the start, or when it is needed.
TEST(Environment, ThatMakesNoSenseOfAFatalErrorIsReportedInOneLine) {
  const outcome right = run("settings", {}, {"TURNKEY_FATAL=bogus"});
  EXPECT_EQ(right.status, 0) << right;
  EXPECT_EQ(right.out, default_settings()) << right;
  EXPECT_LE(misuse::lines(right.err), 1) << right;

  const outcome wrong = run("unlock_unlocked", {"mutex: unlock"}, {"TURNKEY_FATAL=bogus"});
  EXPECT_EQ(wrong.status, fatal_status) << wrong;
  EXPECT_EQ(count(wrong.err, "TURNKEY_FATAL"), 1) << wrong;
  EXPECT_TRUE(has_line(wrong.err, {"TURNKEY_FATAL", "bogus"})) << wrong;
  EXPECT_EQ(count(wrong.err, unlock_of_mutex), 1) << wrong;
}

// --- reports ------------------------------------------------------------------------------------------------------

TEST(FatalErrors, AtTheSameMomentMakeExactlyOneReport) {
  const int runs = misuse::is_sanitized ? 5 : 50;
  for (const char* way : {"goroutines", "threads", "exceptions", "mixed"}) {
    SCOPED_TRACE(way);
    for (int i = 0; i < runs; ++i) {
      const outcome end = run("fatal_at_once", {way});
      ASSERT_EQ(end.status, fatal_status) << end;
      ASSERT_EQ(count(end.err, "fatal error: ") + count(end.err, "panic: "), 1) << end;
      ASSERT_EQ(count(end.err, "[running]:"), 1) << end;
    }
  }
}

TEST(FatalHandler, GetsTheReportInPlaceOfStderr) {
  const struct {
    const char* way;
    const char* first_line;
  } cases[] = {{"thread", unlock_of_mutex},
               {"goroutine", unlock_of_mutex},
               {"exception", "panic: out\n"},
               {"deadlock", deadlock_line}};
  for (const auto& each : cases) {
    SCOPED_TRACE(each.way);
    const outcome end = run("fatal_handler", {each.way});
    EXPECT_EQ(end.status, fatal_status) << end;
    EXPECT_NE(end.out.find(std::string("handler: ") + each.first_line), std::string::npos) << end;
    EXPECT_EQ(count(end.err, "fatal error"), 0) << end;
    EXPECT_EQ(count(end.err, "panic"), 0) << end;
  }
}

TEST(FatalHandler, ThatIsRemovedGetsNothing) { EXPECT_TRUE(died(run("fatal_handler", {"removed"}), unlock_of_mutex)); }

// --- what runs out ------------------------------------------------------------------------------------------------

// Either go() throws, or a goroutine that it had accepted finds no stack: that must be said.
TEST(OutOfMemory, IsAnExceptionOrIsReported) {
  for (const char* way : {"stacks", "callables"}) {
    SCOPED_TRACE(way);
    // The allocators of the sanitizers do not throw: they end the program.
    if (misuse::is_sanitized && std::string_view(way) == "callables") continue;
    const outcome end = run("out_of_memory", {way});
    if (end.status == 0) {
      EXPECT_TRUE(ended_quietly(end, 0, "std::bad_alloc\n"));
    } else {
      EXPECT_TRUE(died(end, "fatal error: "));
      EXPECT_TRUE(matches(end.err, "^fatal error: .*(memory|stack)"));
    }
  }
}

TEST(NoMoreThreads, ForTheFirstGoroutineIsAnException) {
  EXPECT_TRUE(ended_quietly(run("no_more_threads", {"at first"}), 0, "std::system_error 1\nran later\n"));
}

TEST(NoMoreThreads, LaterIsMadeDoWithThoseThatAreThere) {
  const outcome end = run("no_more_threads", {"later"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "all ran\n") << end;
  EXPECT_EQ(count(end.err, "fatal"), 0) << end;
}

}  // namespace
