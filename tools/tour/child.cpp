#include "child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>

namespace tour {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// More than anybody reads. A child that prints for ever must not fill our memory.
constexpr std::size_t most_kept = 1 << 20;

// One way from the child to us.
class pipe_from_child {
 public:
  pipe_from_child() {
    if (pipe2(ends_.data(), O_CLOEXEC) < 0) throw std::system_error(errno, std::generic_category(), "pipe");
  }
  ~pipe_from_child() {
    close_end(ends_[0]);
    close_end(ends_[1]);
  }
  pipe_from_child(const pipe_from_child&) = delete;
  pipe_from_child& operator=(const pipe_from_child&) = delete;

  [[nodiscard]] int our_end() const noexcept { return ends_[0]; }  // -1 once everything was read
  [[nodiscard]] int childs_end() const noexcept { return ends_[1]; }
  void close_childs_end() noexcept { close_end(ends_[1]); }

  // Blocks if there is nothing to read.
  void read_into(std::string& text) {
    std::array<char, 4096> buffer{};
    const ssize_t count = read(ends_[0], buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), std::min(static_cast<std::size_t>(count), most_kept - text.size()));
    } else {
      close_end(ends_[0]);
    }
  }

 private:
  static void close_end(int& end) noexcept {
    if (end >= 0) close(end);
    end = -1;
  }

  std::array<int, 2> ends_{-1, -1};
};

// Reads what is there, waiting up to `patience` for it. True if something came, if only the end.
bool collect(pipe_from_child& out, pipe_from_child& err, ending& result, milliseconds patience) {
  std::array<pollfd, 2> ends{pollfd{out.our_end(), POLLIN, 0}, pollfd{err.our_end(), POLLIN, 0}};  // poll skips -1
  if (poll(ends.data(), ends.size(), static_cast<int>(patience.count())) <= 0) return false;
  if (ends[0].revents != 0) out.read_into(result.out);
  if (ends[1].revents != 0) err.read_into(result.err);
  return true;
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> all = variables;  // first: the first of two with the same name counts
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("TURNKEY_") || text.starts_with("TURNKEY_MAXPROCS=")) all.emplace_back(text);
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void become(char* const* arguments, char* const* environment, int out, int err) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // Ctrl-C does not reach a group of its own
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execvpe(arguments[0], arguments, environment);
  dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], std::strerror(errno));
  _exit(127);
}

}  // namespace

ending run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables, milliseconds limit,
                 int stop_signal) {
  std::vector<std::string> command_copy = command;
  std::vector<std::string> environment = environment_with(variables);
  const std::vector<char*> arguments_of_child = pointers_to(command_copy);
  const std::vector<char*> environment_of_child = pointers_to(environment);
  pipe_from_child out;
  pipe_from_child err;

  const auto start = clock::now();
  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    become(arguments_of_child.data(), environment_of_child.data(), out.childs_end(), err.childs_end());
  }
  setpgid(child, child);  // here as well, so that the group exists before we may want to stop it
  out.close_childs_end();
  err.close_childs_end();

  ending result;
  auto end = start + limit;
  int wait_status = 0;
  while (waitpid(child, &wait_status, WNOHANG) != child) {
    if (!collect(out, err, result, milliseconds(5))) std::this_thread::sleep_for(milliseconds(1));
    if (clock::now() < end) continue;
    kill(-child, result.is_stopped ? SIGKILL : stop_signal);
    result.is_stopped = true;
    end = clock::now() + std::chrono::seconds(1);
  }
  result.took = std::chrono::duration_cast<milliseconds>(clock::now() - start);
  while (collect(out, err, result, milliseconds(0))) {
  }
  result.status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  return result;
}

}  // namespace tour
