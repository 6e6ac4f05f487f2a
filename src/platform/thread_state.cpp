#include "platform/thread_state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "platform/report.hpp"

namespace turnkey::platform {

bool is_thread_runnable(std::int32_t thread) noexcept {
  const int error = errno;
  char path_buffer[64];
  text path(path_buffer, sizeof path_buffer);
  path << "/proc/self/task/" << thread << "/stat" << '\0';
  char content[512];
  ssize_t size = -1;
  const int file = open(path_buffer, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    size = read(file, content, sizeof content);
    close(file);
  }
  errno = error;
  if (size <= 0) return false;
  // The state is the field behind the name, which stands in parentheses and may hold any character.
  const std::string_view stat(content, static_cast<std::size_t>(size));
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string_view::npos && name_end + 2 < stat.size() && stat[name_end + 2] == 'R';
}

}  // namespace turnkey::platform
