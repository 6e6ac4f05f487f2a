// stack_overflow BYTES: a goroutine "deep", whose stack has that size (0: the usual one), recurses without end.
#include <cstdint>
#include <cstdlib>
#include <limits>

#include <turnkey/go.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

volatile std::uint64_t last = std::numeric_limits<std::uint64_t>::max();

[[gnu::noinline]] std::uint64_t recurse(std::uint64_t depth) {  // NOLINT(misc-no-recursion)
  volatile std::uint64_t frame[32] = {depth};                   // ThreadSanitizer counts frames: not too many
  return depth == last ? 0 : recurse(depth + 1) + frame[0];
}

int main(int, char** argv) {
  turnkey::semaphore never(0);
  // Bystanders, so that the stacks next to it are in use.
  for (int i = 0; i < 10; ++i) turnkey::go({.name = "bystander"}, [&] { never.acquire(); });
  turnkey::wait_group done;
  done.go({.name = "deep", .stack_size = std::strtoull(argv[1], nullptr, 10)}, [] { recurse(0); });
  done.wait();
}
