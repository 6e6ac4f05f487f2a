// The table of the tour. A new scenario is one more entry at the end of this file, and a program in examples/.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "scenario.hpp"

namespace tour {
namespace {

using namespace std::chrono_literals;
using std::filesystem::path;

// A program in PATH, or nothing.
path find_program(std::string_view name) {
  const char* folders = std::getenv("PATH");
  for (std::string_view rest = folders == nullptr ? "" : folders; !rest.empty();) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    path candidate = path(folder) / name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

path find_compiler() {
  for (const char* name : {"c++", "g++", "clang++"}) {
    if (path found = find_program(name); !found.empty()) return found;
  }
  return {};
}

// A compiler that must refuse this file of examples/does_not_compile, and say why.
run refused(const std::string& file, const std::string& title) {
  // The tour runs where it was built, so the sources are still where the compiler found this one.
  static const path root = path(__FILE__).parent_path() / "../..";
  return {.command = {find_compiler(), "-std=c++20", "-fsyntax-only", "-I" + (root / "include").string(),
                      root / "examples/does_not_compile" / file},
          .expected = {.status = 1, .err_like = "deleted[^]*a lock cannot be copied"},
          .title = title,
          .show = "error: .*(deleted|defaulted).*|a lock cannot be copied.*",
          .environment = {"LC_ALL=C"}};
}

run succeeds(const std::string& program, const std::string& out) {
  return {.command = {program}, .expected = {.out = out}};
}

// One of the eight ways of unlocked_twice.
run fatal_misuse(int way, const std::string& title, const std::string& message) {
  return {.command = {"unlocked_twice", std::to_string(way)},
          .expected = {.status = 2, .err_like = "^fatal error: " + message + "\n"},
          .title = title,
          .show = "fatal error: .*"};
}

}  // namespace

std::vector<scenario> all_scenarios() {
  const std::string no_compiler = find_compiler().empty() ? "there is no C++ compiler in PATH" : "";
  return {
      {.id = "S1",
       .title = "Five goroutines add 1 to one counter",
       .shows = "The mutex makes each step whole, the wait_group makes all five seen: 5.",
       .source = "five_adders.cpp",
       .runs = {succeeds("five_adders", "counter: 5\n")}},

      {.id = "S2",
       .title = "A thousand goroutines, and a counter that brings its own mutex",
       .shows = "1000 every time. A lost update would be one run in many, so there are twenty.",
       .source = "thousand_adders.cpp",
       .runs = {succeeds("thousand_adders", "20 of 20 runs counted exactly 1000\n")}},

      {.id = "S3",
       .title = "A map of counts, incremented slowly, by many at once",
       .shows = "Each of 100 goroutines counts every fruit once; a slow increment under a lock loses none.",
       .source = "safe_counter.cpp",
       .runs = {succeeds("safe_counter",
                         "apple      100\nbanana     100\ncherry     100\ndate       100\nelderberry 100\n")}},

      {.id = "S5",
       .title = "One writer and four readers share a map under an rw_mutex",
       .shows = "Readers are inside together, the writer is inside alone, and all its writes get their turn.",
       .source = "readers_and_writer.cpp",
       .runs = {{.command = {"readers_and_writer"},
                 .expected = {.out_like = "up to [2-4] of 4\nreadings that the writer disturbed: 0 of [1-9][0-9]*\n"
                                          "writes: all 5000, the longest wait for the lock was [0-9]{1,3}\\."}}}},

      {.id = "S6",
       .title = "Two withdrawals of 10 from 100, while an auditor keeps looking",
       .shows = "80 is left, and at no moment could the auditor see a withdrawal half done.",
       .source = "bank.cpp",
       .runs = {{.command = {"bank"},
                 .expected = {.out_like = "^balance: 80\nwithdrawals seen half done: 0, in [1-9][0-9]* looks\n$"}}}},

      {.id = "S10",
       .title = "A critical section that is left early",
       .shows = "By its end, by a return, by an exception: the guard unlocks, and others find the mutex free.",
       .source = "leaving_early.cpp",
       .runs = {succeeds("leaving_early",
                         "after the last line:   balance  90, the mutex is free\n"
                         "after a return:        balance  90, the mutex is free\n"
                         "after an exception:    balance  90, the mutex is free\n")}},

      {.id = "S11",
       .title = "What was written before is seen after",
       .shows = "A plain int handed from goroutine to thread, by each thing that promises to order it.",
       .source = "memory_order.cpp",
       .runs = {{.command = {"memory_order"}, .expected = {.out_like = "^([^\n]* 500 of 500\n){6}$"}}}},

      {.id = "W3",
       .title = "The bank of S6 without its lock",
       .shows = "90 where 80 is due: one withdrawal overwrote the other. Only ThreadSanitizer can see such a thing.",
       .source = "bank_without_lock.cpp",
       .runs = {succeeds("bank_without_lock", "balance: 90, it should be 80\n")}},

      {.id = "W4",
       .title = "A lock that is never unlocked",
       .shows = "Nobody can ever go on. The runtime notices, says who waits for what, and ends the program.",
       .source = "forgotten_unlock.cpp",
       .runs = {{.command = {"forgotten_unlock"},
                 .expected = {.status = 2,
                              .out = "withdraw 1000: refused\n",
                              .err_like =
                                  "^fatal error: all goroutines are asleep - deadlock!\n[^]*"
                                  "\"patient\" \\[sync\\.Mutex\\.Lock[^\n]*held by[^\n]*\"careless\", which has ended",
                              .within = 2s}}}},

      {.id = "W5",
       .title = "Locking what one already holds",
       .shows = "Mutexes are not re-entrant: the clerk waits for the clerk, which is reported and not endured.",
       .source = "locked_twice.cpp",
       .runs = {{.command = {"locked_twice"},
                 .expected = {.status = 2,
                              .err_like = "fatal error: all goroutines are asleep - deadlock!\n[^]*"
                                          "\"clerk\" \\[sync\\.Mutex\\.Lock[^\n]*held by[^\n]*\"clerk\"",
                              .within = 2s}}}},

      {.id = "W7",
       .title = "Unlocking what is not locked, in all eight ways",
       .shows = "Each one ends the program with Go's words, and catch (...) does not see it.",
       .source = "unlocked_twice.cpp",
       .runs = {fatal_misuse(1, "mu.unlock()", "sync: unlock of unlocked mutex"),
                fatal_misuse(2, "mu.lock(), mu.unlock(), mu.unlock()", "sync: unlock of unlocked mutex"),
                fatal_misuse(3, "rw.unlock()", "sync: Unlock of unlocked RWMutex"),
                fatal_misuse(4, "rw.lock_shared(), rw.unlock()", "sync: Unlock of unlocked RWMutex"),
                fatal_misuse(5, "rw.lock(), rw.unlock(), rw.unlock()", "sync: Unlock of unlocked RWMutex"),
                fatal_misuse(6, "rw.unlock_shared()", "sync: RUnlock of unlocked RWMutex"),
                fatal_misuse(7, "rw.lock(), rw.unlock_shared()", "sync: RUnlock of unlocked RWMutex"),
                fatal_misuse(8, "rw.lock_shared(), rw.unlock_shared() twice", "sync: RUnlock of unlocked RWMutex")}},

      {.id = "W8",
       .title = "Copying a mutex",
       .shows = "None of these compiles, and the compiler says that it is the mutex which cannot be copied.",
       .source = "does_not_compile/",
       .runs = {refused("by_value.cpp", "a parameter by value"), refused("by_assignment.cpp", "an assignment"),
                refused("by_capture.cpp", "a capture by value"), refused("in_a_struct.cpp", "a struct that holds one")},
       .cannot_run = no_compiler},
  };
}

}  // namespace tour
