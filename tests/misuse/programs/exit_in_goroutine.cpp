// exit_in_goroutine WAY: exit(3) in a goroutine, while main waits for ever.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <turnkey/go.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

namespace {

turnkey::semaphore never(0);
turnkey::wait_group ready;

struct goodbye {
  ~goodbye() { std::puts("destroyed"); }
} const global;

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  if (way == "among others") {
    for (int i = 0; i < 20; ++i) turnkey::go([] { never.acquire(); });
    for (int i = 0; i < 20; ++i) {
      turnkey::go([] {
        for (;;) turnkey::this_goroutine::yield();
      });
    }
  }
  if (way == "main has ended") {
    ready.add();
    turnkey::go([] {
      ready.wait();
      std::exit(3);
    });
    ready.done();
    pthread_exit(nullptr);
  }
  turnkey::go([] { std::exit(3); });
  never.acquire();
}
