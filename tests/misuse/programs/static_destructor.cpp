// static_destructor WAY: a static object's destructor uses the library while goroutines are alive.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include <turnkey/turnkey.hpp>

namespace {

turnkey::mutex mu;
turnkey::rw_mutex rw;
turnkey::semaphore never(0);
turnkey::wait_group under_way;
volatile bool for_ever = true;

struct journal {
  ~journal() {
    {
      const std::scoped_lock hold(mu);
      ++entries;
    }
    {
      const std::shared_lock hold(rw);
      ++entries;
    }
    {
      const std::scoped_lock hold(rw);
      ++entries;
    }
    turnkey::semaphore one(1);
    one.acquire();
    turnkey::wait_group none;
    none.wait();
    turnkey::this_goroutine::yield();
    turnkey::this_goroutine::sleep_for(std::chrono::milliseconds(1));
    std::printf("closed after %d entries\n", entries);
  }
  int entries = 0;
} the_journal;

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  const int goroutines = 10;
  under_way.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    turnkey::go([way] {
      under_way.done();
      if (way == "others parked") never.acquire();
      while (way == "others yielding" && for_ever) turnkey::this_goroutine::yield();
      while (way == "others locking" && for_ever) {
        { const std::scoped_lock hold(mu); }
        { const std::scoped_lock hold(rw); }
        { const std::shared_lock hold(rw); }
      }
    });
  }
  under_way.wait();
  return 5;
}
