#include "platform/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace turnkey::platform {

namespace {

constexpr mode_t permissions = 0666;
constexpr int how = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

}  // namespace

output_file::output_file(const char* path) noexcept
    : file_(open(path, how | O_TRUNC, permissions)), is_good_(file_ >= 0) {}

void output_file::write(std::string_view content) noexcept {
  while (is_good_ && !content.empty()) {
    const ssize_t written = ::write(file_, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      is_good_ = false;
    }
  }
}

bool output_file::close() noexcept {
  if (file_ >= 0 && ::close(file_) != 0) is_good_ = false;
  file_ = -1;
  return is_good_;
}

bool output_file::can_be_written(const char* path) noexcept {
  const int file = open(path, how, permissions);
  return file >= 0 && ::close(file) == 0;
}

}  // namespace turnkey::platform
