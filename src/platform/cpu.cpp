#include "platform/cpu.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "platform/cgroup.hpp"

namespace turnkey::platform {

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  // `yield` is a no-op on most cores; `isb` takes about as long as x86's pause.
  asm volatile("isb" ::: "memory");
#endif
}

void pause(int n) noexcept {
  for (; n > 0; --n) pause();
#if defined(__x86_64__)
  // Holds back what comes after the loop until the loop is known to be over (docs/decisions/0020-no-look-ahead.md). `isb` does so by itself.
  __builtin_ia32_lfence();
#endif
}

namespace {

constexpr std::size_t longest_path = 4096;

// A file's first bytes, as they fit; empty if it cannot be read.
std::string_view read_file(const char* path, char* buffer, std::size_t capacity) noexcept {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::size_t size = 0;
  while (size < capacity) {
    const ssize_t got = read(file, buffer + size, capacity - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(file);
  return {buffer, size};
}

// A path put together from pieces; empty if it would be too long.
class path_buffer {
 public:
  path_buffer(std::initializer_list<std::string_view> pieces) noexcept {
    std::size_t size = 0;
    for (const std::string_view piece : pieces) {
      if (size + piece.size() >= sizeof path_) {
        size = 0;
        break;
      }
      std::memcpy(path_ + size, piece.data(), piece.size());
      size += piece.size();
    }
    path_[size] = '\0';
  }
  [[nodiscard]] const char* c_str() const noexcept { return path_; }

 private:
  char path_[longest_path];
};

// Takes the text before the next `separator` (or all) off the front.
std::string_view take_until(std::string_view& rest, char separator) noexcept {
  const std::size_t end = rest.find(separator);
  const std::string_view piece = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return piece;
}

// A number, or 0 if it is not one ("max").
std::int64_t to_number(std::string_view digits) noexcept {
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// CPUs of a quota, rounded up; INT_MAX if it is no limit.
int cpus_of_quota(std::int64_t quota, std::int64_t period) noexcept {
  if (quota <= 0 || period <= 0) return INT_MAX;
  return static_cast<int>(std::min<std::int64_t>((quota + period - 1) / period, INT_MAX));
}

// v2: "<quota> <period>" or "max <period>".
int limit_of_v2(std::string_view mount, std::string_view group) noexcept {
  char buffer[128];
  const path_buffer path{mount, group, "/cpu.max"};
  std::string_view content = read_file(path.c_str(), buffer, sizeof buffer);
  const std::string_view quota = take_until(content, ' ');
  const std::string_view period = take_until(content, '\n');
  return cpus_of_quota(to_number(quota), to_number(period));
}

int limit_of_v1(std::string_view mount, std::string_view group) noexcept {
  char quota[64];
  char period[64];
  const path_buffer quota_path{mount, group, "/cpu.cfs_quota_us"};
  const path_buffer period_path{mount, group, "/cpu.cfs_period_us"};
  return cpus_of_quota(to_number(read_file(quota_path.c_str(), quota, sizeof quota)),
                       to_number(read_file(period_path.c_str(), period, sizeof period)));
}

// The least of the limits of a group and of all groups above it: any of them throttles.
template <typename LimitOf>
int limit_of_ancestors(std::string_view mount, std::string_view group, LimitOf limit_of) noexcept {
  int least = INT_MAX;
  for (;;) {
    while (!group.empty() && group.back() == '/') group.remove_suffix(1);
    least = std::min(least, limit_of(mount, group));
    if (group.empty()) return least;
    group = group.substr(0, group.rfind('/'));
  }
}

bool has_controller(std::string_view controllers, std::string_view wanted) noexcept {
  while (!controllers.empty()) {
    if (take_until(controllers, ',') == wanted) return true;
  }
  return false;
}

int cpus_of_affinity() noexcept {
  // The kernel refuses a mask smaller than its own, whose size it does not tell: grow until it takes it.
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    cpu_set_t* const set = CPU_ALLOC(most);
    if (set == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(most);
    CPU_ZERO_S(size, set);
    const bool is_known = sched_getaffinity(0, size, set) == 0;
    const int error = errno;
    const int count = is_known ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (is_known && count > 0) return count;
    if (error != EINVAL) break;
  }
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<int>(online) : 1;
}

}  // namespace

int cgroup_cpus(const char* membership_file, const char* mount) noexcept {
  char buffer[longest_path];
  std::string_view lines = read_file(membership_file, buffer, sizeof buffer);
  int least = INT_MAX;
  while (!lines.empty()) {
    // "<number>:<controllers>:<group>"; v2 has no controllers.
    std::string_view group = take_until(lines, '\n');
    take_until(group, ':');
    const std::string_view controllers = take_until(group, ':');
    if (group.empty()) continue;
    if (controllers.empty()) {
      least = std::min(least, limit_of_ancestors(mount, group, limit_of_v2));
      // Where both versions are mounted, v2 is one folder down.
      const path_buffer unified{mount, "/unified"};
      least = std::min(least, limit_of_ancestors(unified.c_str(), group, limit_of_v2));
    } else if (has_controller(controllers, "cpu")) {
      for (const std::string_view folder : {std::string_view("/cpu"), std::string_view("/cpu,cpuacct")}) {
        const path_buffer hierarchy{mount, folder};
        least = std::min(least, limit_of_ancestors(hierarchy.c_str(), group, limit_of_v1));
      }
    }
  }
  return least;
}

int available_cpus() noexcept {
  const int error = errno;
  const int cpus = std::min(cpus_of_affinity(), cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup"));
  errno = error;
  return std::max(cpus, 1);
}

int current_cpu() noexcept { return sched_getcpu(); }

bool is_multiprocessor() noexcept {
  enum : signed char { unknown, one, several };
  static constinit std::atomic<signed char> answer{unknown};
  // Two threads may both find out: they come to the same answer.
  signed char known = answer.load(std::memory_order_relaxed);
  if (known == unknown) [[unlikely]] {
    known = available_cpus() > 1 ? several : one;
    answer.store(known, std::memory_order_relaxed);
  }
  return known == several;
}

}  // namespace turnkey::platform
