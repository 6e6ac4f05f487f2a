// uncaught_exception WAY: an exception leaves a goroutine.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

#include <turnkey/go.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

struct oops {};

void withdraw() { throw std::runtime_error("no such account"); }

int main(int, char** argv) {
  const std::string_view way = argv[1];
  turnkey::semaphore never(0);
  turnkey::wait_group done;
  if (way == "std::exception") turnkey::go({.name = "teller"}, withdraw);
  if (way == "unnamed") turnkey::go(withdraw);
  if (way == "int") turnkey::go({.name = "teller"}, [] { throw 42; });
  if (way == "class") turnkey::go({.name = "teller"}, [] { throw oops(); });
  if (way == "wait_group task") done.go({.name = "teller"}, withdraw);
  if (way == "renamed") {
    std::string name = "teller of the central branch";
    turnkey::go({.name = name}, withdraw);
    name.assign(name.size(), '?');
    never.acquire();
  }
  if (way == "long name") turnkey::go({.name = "a name that is much longer than what is kept of it"}, withdraw);
  if (way == "after a park") {
    turnkey::go({.name = "teller"}, [] {
      for (int i = 0; i < 10; ++i) turnkey::this_goroutine::yield();
      try {
        withdraw();
      } catch (...) {
        turnkey::this_goroutine::sleep_for(std::chrono::milliseconds(1));
        throw;
      }
    });
  }
  if (way == "among others") {
    for (int i = 0; i < 100; ++i) turnkey::go([&] { never.acquire(); });
    turnkey::go({.name = "teller"}, withdraw);
  }
  if (way == "main returns") {
    turnkey::go({.name = "teller"}, withdraw);
    return 0;
  }
  done.wait();
  if (way != "wait_group task") never.acquire();
  std::puts("went on");
}
