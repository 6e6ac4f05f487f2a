// Says how many goroutines may run at once, and that goroutines do.
#include <cstdio>

#include <turnkey/go.hpp>
#include <turnkey/wait_group.hpp>

int main() {
  std::printf("max_procs %d\n", turnkey::max_procs());
  turnkey::wait_group done;
  done.go([] { std::puts("ran"); });
  done.wait();
}
