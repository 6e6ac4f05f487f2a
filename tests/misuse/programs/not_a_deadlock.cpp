// not_a_deadlock WAY: everybody in turnkey waits, but something else will go on and wake them. Says "done" at the end.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <thread>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

namespace {

// Long enough for a hasty detector to come to its verdict.
constexpr auto a_while = 1000ms;

turnkey::wait_group done;
turnkey::semaphore token(0);

void bystander() {
  turnkey::go({.name = "bystander"}, [] { token.acquire(); });
}

void spin(std::chrono::steady_clock::duration period) {
  const auto end = std::chrono::steady_clock::now() + period;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Says so on stdout, then reads what the parent process writes after a while.
void read_from_parent() {
  std::puts("reading");
  std::fflush(stdout);
  char byte;
  if (::read(0, &byte, 1) != 1) std::puts("nothing read");
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  bystander();
  done.add();
  std::thread thread;

  if (way == "sleeping goroutine") {
    turnkey::go([] {
      turnkey::this_goroutine::sleep_for(a_while);
      done.done();
    });
  }
  if (way == "yielding goroutine") {
    turnkey::go([] {
      const auto end = std::chrono::steady_clock::now() + a_while;
      while (std::chrono::steady_clock::now() < end) turnkey::this_goroutine::yield();
      done.done();
    });
  }
  if (way == "busy goroutine") {
    turnkey::go([] {
      spin(a_while);
      done.done();
    });
  }
  if (way == "timed wait") {
    turnkey::go([] {
      turnkey::semaphore nothing(0);
      if (!nothing.try_acquire_for(a_while)) done.done();
    });
  }
  if (way == "sleeping main") {
    turnkey::this_goroutine::sleep_for(a_while);
    done.done();
  }
  if (way == "timed wait of main") {
    if (!done.wait_for(a_while)) done.done();
  }
  if (way == "busy main") {
    spin(a_while);
    done.done();
  }
  if (way == "busy thread") {
    thread = std::thread([] {
      spin(a_while);
      done.done();
    });
  }
  if (way == "sleeping thread") {
    thread = std::thread([] {
      std::this_thread::sleep_for(a_while);
      done.done();
    });
  }
  if (way == "thread in std::condition_variable") {
    thread = std::thread([] {
      std::mutex mu;
      std::condition_variable never;
      std::unique_lock hold(mu);
      never.wait_for(hold, a_while, [] { return false; });
      done.done();
    });
  }
  if (way == "thread in read") {
    thread = std::thread([] {
      read_from_parent();
      done.done();
    });
  }
  if (way == "main in join") {
    std::thread([] {
      std::this_thread::sleep_for(a_while);
      done.done();
    }).join();
  }
  if (way == "goroutine in blocking") {
    turnkey::go([] {
      turnkey::blocking(read_from_parent);
      done.done();
    });
  }
  if (way == "goroutine in read") {
    turnkey::go([] {
      read_from_parent();
      done.done();
    });
  }
  done.wait();
  if (thread.joinable()) thread.join();
  std::puts("done");
}
