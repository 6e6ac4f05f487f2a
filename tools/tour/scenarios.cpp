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

// A compiler that must refuse this file of examples/does_not_compile, and say `why`, of which the tour shows that line.
run refused(const std::string& file, const std::string& title, const std::string& why, const std::string& show) {
  // The tour runs where it was built, so the sources are still where the compiler found this one.
  static const path root = path(__FILE__).parent_path() / "../..";
  return {.command = {find_compiler(), "-std=c++20", "-fsyntax-only", "-I" + (root / "include").string(),
                      root / "examples/does_not_compile" / file},
          .expected = {.status = 1, .err_like = why},
          .title = title,
          .show = show,
          .environment = {"LC_ALL=C"}};
}

run cannot_copy(const std::string& file, const std::string& title) {
  return refused(file, title, "deleted[^]*a lock cannot be copied",
                 "error: .*(deleted|defaulted).*|a lock cannot be copied.*");
}

run cannot_leave(const std::string& file, const std::string& title) {
  return refused(file, title, "carry the data out of its lock", "guarded: [^\"]* out of its lock[^\"]*");
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

// How long it takes; and what pprof says, where there is a Go to bring it along.
std::vector<run> contention() {
  const std::string times =
      "^the lock around everything: [^\n]*\nthe lock around the addition: [^\n]*\nprofile: [^\n]*\n";
  std::vector<run> runs{{.command = {"lock_around_too_much", "/dev/null"},
                         .expected = {.out_like = times + "$"},
                         .title = "how long either takes"}};
  if (const path go = find_program("go"); !go.empty()) {
    runs.push_back({.command = {find_program("sh"), "-c",
                                "set -e; file=$(mktemp); trap 'rm $file' EXIT; \"$0\" $file; "
                                "\"$1\" tool pprof -top -symbolize=none $file",
                                TURNKEY_EXAMPLES_DIR "/lock_around_too_much", go},
                    .expected = {.out_like = times + "[^]* turnkey::mutex::unlock\\(\\)\n[^]*"
                                                     "add_with_the_lock_around_everything\\(int\\)\n"},
                    .title = "who is to blame"});
  }
  return runs;
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

      {.id = "S4",
       .title = "A writer and a reader of one map, for ever",
       .shows = "Both get on with it while main waits on a channel that nobody uses; it runs until it is killed.",
       .source = "for_ever.cpp",
       .runs = {{.command = {"for_ever"},
                 .expected = {.status = 128 + SIGKILL,
                              .out_like = "^(wrote every key[^]*read the whole|read the whole[^]*wrote every key)"},
                 .stop_after = 2s}}},

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

      {.id = "S7",
       .title = "A cache: bounded, expiring, and a missing page is loaded once",
       .shows = "1000 ask for one page at the same time: 1 load, 999 hits. The ninth page drives out the first.",
       .source = "cache.cpp",
       .runs = {{.command = {"cache"},
                 .expected = {.out_like = "is missing +999 +1 +0 +0\n[^\n]* of 7 other pages +1992 +8 +0 +0\n"
                                          "[^\n]* room for 8 +1992 +9 +0 +1\n[^\n]*three times +0 +3 +2 +0\n"
                                          "pages kept: 8 and 1; values lost or torn: 0\n$"}}}},

      {.id = "S8",
       .title = "Requests and errors, counted by many and read while they change",
       .shows = "Every thread adds in a place of its own; the totals are exact at the end.",
       .source = "statistics.cpp",
       .runs = {{.command = {"statistics"},
                 .expected = {.out_like = "^requests: 1000000\nerrors:   10000\n"
                                          "times the watcher saw less than before: 0, in [1-9][0-9]* looks\n$"}}}},

      {.id = "S9",
       .title = "A map that cannot be had without its lock",
       .shows = "Each of these would carry it out. None compiles, and the compiler says why.",
       .source = "does_not_compile/",
       .runs = {cannot_leave("bare_map_reference.cpp", "a reference"),
                cannot_leave("bare_map_pointer.cpp", "a pointer, from a struct that hides its map"),
                cannot_leave("bare_map_iterator.cpp", "an iterator")},
       .cannot_run = no_compiler},

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

      {.id = "S12",
       .title = "The referee, the conveyor belt and the key",
       .shows = "A wait_group, a channel and a mutex in one bakery, and a select over the belt and the whistle.",
       .source = "bakery.cpp",
       .runs = {succeeds("bakery",
                         "baked:  30\n"
                         "packed: 10 of baker 0\npacked: 10 of baker 1\npacked: 10 of baker 2\n")}},

      {.id = "S13",
       .title = "The dry run: two goroutines want one mutex",
       .shows = "Goroutine 2 is blocked while goroutine 1 holds the mutex; the value goes from 0 to 1 to 2.",
       .source = "dry_run.cpp",
       .runs = {succeeds("dry_run",
                         "step | goroutine 1      | goroutine 2      | mutex     | value\n"
                         "   1 | locks            |                  | held by 1 | 0\n"
                         "   2 |                  | is blocked       | held by 1 | 0\n"
                         "   3 | stores 1         |                  | held by 1 | 1\n"
                         "   4 | unlocks          |                  | free      | 1\n"
                         "   5 |                  | locks            | held by 2 | 1\n"
                         "   6 |                  | stores 2         | held by 2 | 2\n"
                         "   7 |                  | unlocks          | free      | 2\n")}},

      {.id = "C4",
       .title = "Correctness against throughput, and how to avoid the choice",
       .shows = "One number behind five things that make it right. What is fastest depends on who writes how often.",
       .source = "which_one.cpp",
       .runs = {{.command = {"which_one"},
                 .expected = {.out_like = "^million[^\n]*\n[^\n]*\nmutex [^\n]*\nrw_mutex [^\n]*\ncounter [^\n]*\n"
                                          "snapshot [^\n]*\nconcurrent_map [^\n]*\n$"}}}},

      {.id = "W1",
       .title = "S4 without its mutex",
       .shows = "One iterates while the other one writes. The map says so, names both, and ends the program.",
       .source = "map_without_mutex.cpp",
       .runs = {{.command = {"map_without_mutex"},
                 .expected = {.status = 2,
                              .err_like = "^fatal error: concurrent map iteration and map write\n[^]*"
                                          "(\"writer\"[^]*\"reader\"|\"reader\"[^]*\"writer\")"}}}},

      {.id = "W2",
       .title = "Two writers of one map; a reader and a writer",
       .shows = "Go's words for each, and who the other one was.",
       .source = "map_shared.cpp",
       .runs = {{.command = {"map_shared", "writers"},
                 .expected = {.status = 2, .err_like = "^fatal error: concurrent map writes\n[^]*writer\"[^]*writer\""},
                 .title = "two writers"},
                {.command = {"map_shared", "readers"},
                 .expected = {.status = 2,
                              .err_like = "^fatal error: concurrent map read and map write\n[^]*"
                                          "(\"writer\"[^]*\"reader\"|\"reader\"[^]*\"writer\")"},
                 .title = "a reader and a writer"}}},

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
       .shows =
           "Mutexes are not re-entrant: the clerk waits for the clerk. That is a lock cycle, and reported at once.",
       .source = "locked_twice.cpp",
       .runs = {{.command = {"locked_twice"},
                 .expected = {.status = 2,
                              .err_like =
                                  "^deadlock: lock cycle\n[^\n]*\"clerk\" waits for mutex \"account\"[^\n]*held by"
                                  "[^\n]*\"clerk\" itself[^]*fatal error: all goroutines are asleep - deadlock!",
                              .within = 2s}}}},

      {.id = "W6",
       .title = "Two locks, taken in opposite orders",
       .shows = "Each waits for the other. The one that closes the cycle reports it before it waits; main goes on.",
       .source = "opposite_order.cpp",
       .runs = {{.command = {"opposite_order"},
                 .expected = {.status = 1,
                              .out = "the transfers hang, main goes on\n",
                              .err_like = "^deadlock: lock cycle\n([^\n]*(\"there\" waits for mutex \"savings\""
                                          "|\"back\" waits for mutex \"checking\")[^\n]*\n){2}"},
                 .title = "they meet"},
                {.command = {"opposite_order", "lucky"},
                 .expected = {.out = "checking 110, savings 90\n",
                              .err_like =
                                  "^lock order inversion\n[^\n]*\"back\" takes lock \"checking\"[^\n]*and holds lock "
                                  "\"savings\"[^\n]*\n[^\n]*\"there\" took lock \"savings\""},
                 .title = "they do not meet, and TURNKEY_LOCK_ORDER=1 reports it all the same",
                 .environment = {"TURNKEY_LOCK_ORDER=1"}}}},

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
       .runs = {cannot_copy("by_value.cpp", "a parameter by value"), cannot_copy("by_assignment.cpp", "an assignment"),
                cannot_copy("by_capture.cpp", "a capture by value"),
                cannot_copy("in_a_struct.cpp", "a struct that holds one")},
       .cannot_run = no_compiler},

      {.id = "W9",
       .title = "Sleeping while holding a lock",
       .shows = "With TURNKEY_HELD=20ms it is reported while the others still wait, with what the holder is doing.",
       .source = "sleeps_under_lock.cpp",
       .runs = {{.command = {"sleeps_under_lock"},
                 .expected = {.out_like = "^balance: [0-9]+\n$",
                              .err_like =
                                  "^lock held too long: mutex \"accounts\"[^\n]*, by goroutine [0-9]+ \"bookkeeper\"\n"
                                  "\ngoroutine [0-9]+ \"bookkeeper\" \\[sleep[^]*print_statement"},
                 .environment = {"TURNKEY_HELD=20ms"}}}},

      {.id = "W10",
       .title = "A lock around far too much code",
       .shows = "Forty wait in line where none needs to. Whose unlock they wait for is in the contention profile.",
       .source = "lock_around_too_much.cpp",
       .runs = contention()},

      {.id = "W11",
       .title = "A read lock taken twice, with a writer in between",
       .shows = "The writer waits for the reader, and the reader's second lock for the writer: a cycle of two.",
       .source = "read_twice.cpp",
       .runs = {{.command = {"read_twice"},
                 .expected = {.status = 2,
                              .err_like = "^deadlock: lock cycle\n([^\n]*(\"customer\" waits for rw_mutex \"prices\""
                                          "[^\n]*waiting writer[^\n]*\"owner\"|\"owner\" waits for rw_mutex "
                                          "\"prices\"[^\n]*held by[^\n]*\"customer\")[^\n]*\n){2}"}}}},

      {.id = "W12",
       .title = "A goroutine that waits for ever while the rest goes on",
       .shows = "No deadlock, so nobody complains; the dump says what it waits for, since when, and who started it.",
       .source = "waits_for_ever.cpp",
       .runs = {{.command = {"waits_for_ever"},
                 .expected = {.out_like =
                                  "^found\nno answer in time\n[^]*\"look_up\" \\[chan send, [0-9]+ ms\\]: waits on "
                                  "channel [^\n]*, 0 of 0\n[^]*created by [^\n]*ask_with_patience"}}}},
  };
}

}  // namespace tour
