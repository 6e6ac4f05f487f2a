// Runs a program as a child process and keeps what it says.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace tour {

// How a child ended.
struct ending {
  bool is_stopped = false;  // by us, when its time was over
  int status = 0;           // its exit status; 128 + the number of the signal that ended it; 127: it could not be run
  std::string out;
  std::string err;
  std::chrono::milliseconds took{0};
};

// Runs command[0], looked for in PATH if it is a bare name, with the rest as arguments. Its environment is ours with
// `variables` ("NAME=value") on top, less every TURNKEY_ setting but TURNKEY_MAXPROCS: what a child does must not depend
// on how the tour was started. When `limit` is over, its process group gets `stop_signal`, and SIGKILL a second later.
// Throws std::system_error if there is no process or pipe to be had.
ending run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables,
                 std::chrono::milliseconds limit, int stop_signal);

}  // namespace tour
