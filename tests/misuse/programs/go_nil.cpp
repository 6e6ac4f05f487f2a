// go_nil WAY: starts a goroutine with nothing to run.
#include <cstdio>
#include <functional>
#include <string_view>

#include <turnkey/go.hpp>
#include <turnkey/task_group.hpp>
#include <turnkey/wait_group.hpp>

struct account {
  void close() {}
};

int main(int, char** argv) {
  const std::string_view way = argv[1];
  try {
    void (*function)() = nullptr;
    void (*function_of_int)(int) = nullptr;
    void (account::*member)() = nullptr;
    account mine;
    turnkey::wait_group group;
    if (way == "function pointer") turnkey::go(function);
    if (way == "function pointer with argument") turnkey::go(function_of_int, 7);
    if (way == "named") turnkey::go({.name = "nobody"}, function);
    if (way == "member function pointer") turnkey::go(member, &mine);
    if (way == "std::function") turnkey::go(std::function<void()>());
    if (way == "const std::function") {
      const std::function<void()> empty;
      turnkey::go(empty);
    }
    if (way == "wait_group") group.go(function), group.wait();
    if (way == "task_group") turnkey::task_group().go(std::function<void()>());
    if (way == "in a goroutine") turnkey::go([] { turnkey::go(std::function<void()>()); });
  } catch (...) {
    std::puts("caught");
  }
  if (way == "in a goroutine") {
    for (;;) turnkey::this_goroutine::yield();
  }
  std::puts("went on");
}
