// Runs one of the programs in programs/ as a child process, and tells what it wrote and how it ended.
//
//   const outcome end = run("unlock_unlocked", {"mutex_unlock"});
//   EXPECT_EQ(end.status, 2) << end;
//
// A child that does not end within a generous limit is killed: `timed_out`. It sees none of this process's TURNKEY_*
// variables, only those it is given.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace misuse {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool is_tsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool is_tsan = true;
#else
inline constexpr bool is_tsan = false;
#endif
#else
inline constexpr bool is_tsan = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool is_asan = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool is_asan = true;
#else
inline constexpr bool is_asan = false;
#endif
#else
inline constexpr bool is_asan = false;
#endif

inline constexpr bool is_sanitized = is_tsan || is_asan;
inline constexpr std::chrono::seconds time_limit{60};  // however loaded the machine is

struct outcome {
  int status = -1;  // what it exited with; -1 if a signal ended it
  int signal = 0;   // which signal ended it; 0 if it exited
  bool timed_out = false;
  pid_t pid = 0;
  std::string out;
  std::string err;
};

inline std::ostream& operator<<(std::ostream& os, const outcome& end) {
  os << "the child ";
  if (end.timed_out) {
    os << "did not end within " << time_limit.count() << " s";
  } else if (end.signal != 0) {
    os << "was ended by signal " << end.signal;
  } else {
    os << "exited with status " << end.status;
  }
  return os << "\n--- its stdout ---\n" << end.out << "--- its stderr ---\n" << end.err << "---";
}

class child {
 public:
  explicit child(const std::string& program, const std::vector<std::string>& arguments = {},
                 const std::vector<std::string>& environment = {}) {
    keep_cores_away();
    std::array<std::array<int, 2>, 3> pipes{};  // the child's stdin, stdout, stderr
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; ++fd) {
      std::array<int, 2>& ends = pipes.at(static_cast<std::size_t>(fd));
      // A socket for its stdin, so that writing to a child that has died is an error and no SIGPIPE.
      const int failed =
          fd == 0 ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) : ::pipe2(ends.data(), O_CLOEXEC);
      if (failed != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
      posix_spawn_file_actions_adddup2(&actions, ends.at(fd == 0 ? 0 : 1), fd);
    }
    std::string path = TURNKEY_MISUSE_DIR;
    path.append("/misuse_").append(program);
    std::vector<std::string> words{path};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> settings = inherited_environment();
    settings.insert(settings.end(), environment.begin(), environment.end());
    const int failure =
        posix_spawn(&end_.pid, path.c_str(), &actions, nullptr, pointers(words).data(), pointers(settings).data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    in_ = pipes[0][1];
    out_ = pipes[1][0];
    err_ = pipes[2][0];
    if (failure != 0) throw std::system_error(failure, std::generic_category(), path);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() { wait(); }

  // Reads until its stdout contains `text`; false if it ended without.
  bool wait_for_output(std::string_view text) {
    while (end_.out.find(text) == std::string::npos) {
      if (!read_some()) return false;
    }
    return true;
  }

  // Writes to its stdin.
  void write(std::string_view text) {
    if (::send(in_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
      throw std::system_error(errno, std::generic_category(), "write to a child");
    }
  }

  // What it has written so far, and waiting for more of that; false if it ended without.
  [[nodiscard]] const outcome& so_far() const { return end_; }
  bool wait_for_more() { return read_some(); }

  void send_signal(int signal) { ::kill(end_.pid, signal); }

  // Waits until it has ended. Its stdin stays open as long.
  const outcome& wait() {
    if (is_waited_for_) return end_;
    while (read_some()) {
    }
    if (end_.timed_out) ::kill(end_.pid, SIGKILL);
    int how = 0;
    while (::waitpid(end_.pid, &how, 0) < 0 && errno == EINTR) {
    }
    is_waited_for_ = true;
    if (WIFEXITED(how)) end_.status = WEXITSTATUS(how);
    if (WIFSIGNALED(how)) end_.signal = WTERMSIG(how);
    for (int fd : {in_, out_, err_}) {
      if (fd >= 0) ::close(fd);
    }
    return end_;
  }

 private:
  using clock = std::chrono::steady_clock;

  static void keep_cores_away() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0) {
      limit.rlim_cur = 0;
      ::setrlimit(RLIMIT_CORE, &limit);
    }
  }

  static std::vector<std::string> inherited_environment() {
    std::vector<std::string> kept;
    for (char** setting = environ; *setting != nullptr; ++setting) {
      if (!std::string_view(*setting).starts_with("TURNKEY_")) kept.emplace_back(*setting);
    }
    return kept;
  }

  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
  }

  // Takes in what there is to read, or waits for it. False: both streams have ended, or the time is over. A stream ends
  // when its last writer does, so this is also how the end of the child is noticed.
  bool read_some() {
    if (out_ < 0 && err_ < 0) return false;
    std::array<pollfd, 2> streams{pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - clock::now()).count();
    const int ready = left <= 0 ? 0 : ::poll(streams.data(), streams.size(), static_cast<int>(left));
    if (ready < 0 && errno == EINTR) return true;
    if (ready <= 0) {
      end_.timed_out = true;
      return false;
    }
    if (streams[0].revents != 0) take_in(out_, end_.out);
    if (streams[1].revents != 0) take_in(err_, end_.err);
    return true;
  }

  static void take_in(int& fd, std::string& text) {
    std::array<char, 4096> buffer;
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || errno != EINTR) {
      ::close(fd);
      fd = -1;
    }
  }

  outcome end_;
  bool is_waited_for_ = false;
  clock::time_point deadline_ = clock::now() + time_limit;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
};

inline outcome run(const std::string& program, const std::vector<std::string>& arguments = {},
                   const std::vector<std::string>& environment = {}) {
  child process(program, arguments, environment);
  return process.wait();
}

// Whether some line of `text` has all of `pieces`, in this order.
inline bool has_line(std::string_view text, std::initializer_list<std::string_view> pieces) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::size_t at = 0;
    for (const std::string_view piece : pieces) {
      at = line.find(piece, at);
      if (at == std::string_view::npos) break;
      at += piece.size();
    }
    if (at != std::string_view::npos) return true;
  }
  return false;
}

// How often `piece` occurs in `text`.
inline int count(std::string_view text, std::string_view piece) {
  int times = 0;
  for (std::size_t at = text.find(piece); at != std::string_view::npos; at = text.find(piece, at + piece.size()))
    ++times;
  return times;
}

inline int lines(std::string_view text) { return count(text, "\n"); }

}  // namespace misuse
