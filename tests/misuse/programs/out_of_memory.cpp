// out_of_memory WAY: there is memory for some goroutines only.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <new>
#include <string_view>

#include <turnkey/go.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

namespace {

turnkey::semaphore never(0);

// From now on the process gets `more` bytes of address space, and no more.
void limit_memory(rlim_t more) {
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + more;
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::perror("setrlimit");
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  turnkey::wait_group started;
  started.go([] {});
  started.wait();
  constexpr rlim_t gib = rlim_t{1} << 30;
  constexpr rlim_t mib = rlim_t{1} << 20;
  limit_memory(gib + gib / 2);
  try {
    if (way == "stacks") {
      for (int i = 0; i < 3; ++i) {
        started.add();
        turnkey::go({.name = "huge", .stack_size = gib}, [&] {
          started.done();
          never.acquire();
        });
      }
    }
    if (way == "callables") {
      struct cargo {
        char bytes[mib];
      };
      const auto load = std::make_unique<cargo>();
      for (int i = 0; i < 4000; ++i) turnkey::go([&, copy = *load] { never.acquire(), (void)copy; });
    }
  } catch (const std::bad_alloc&) {
    std::puts("std::bad_alloc");
    return 0;
  }
  started.wait();
  std::puts("enough memory");
}
