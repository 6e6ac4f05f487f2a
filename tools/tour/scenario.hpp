// What the tour shows: programs, and how each has to end.
#pragma once

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace tour {

// How a child has to end, and what it has to say.
// Patterns are ECMAScript regular expressions that must be found somewhere in the text.
struct outcome {
  int status = 0;
  std::string out = {};       // all of stdout, to the letter; empty: see out_like
  std::string out_like = {};  // found in stdout
  std::string err_like = {};  // found in stderr; empty: nothing may be on stderr
  std::chrono::milliseconds within = std::chrono::seconds(20);
};

// One child process.
struct run {
  std::vector<std::string> command;  // a bare name is one of the examples; else a path or a program in PATH
  outcome expected;
  std::string title = {};                     // tells the runs of one scenario apart
  std::string show = {};                      // a pattern: print its matches, one a line, instead of everything
  std::vector<std::string> environment = {};  // "NAME=value"
  std::chrono::milliseconds stop_after = {};  // for a program that never ends by itself
  int stop_signal = SIGKILL;
};

struct scenario {
  std::string id;      // S1, W4
  std::string title;   // one sentence
  std::string shows;   // what to look at
  std::string source;  // below examples/
  std::vector<run> runs;
  std::string cannot_run = {};  // why it has to be left out on this machine
};

// All of them, in the order of the tour.
std::vector<scenario> all_scenarios();

}  // namespace tour
