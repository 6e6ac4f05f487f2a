// fatal_handler WAY: a handler gets the report of a fatal error, on stdout here.
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <string_view>

#include <turnkey/turnkey.hpp>

namespace {

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(1, text.data(), text.size());
    if (size <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

void handler(std::string_view report) {
  print("handler: ");
  print(report);
}

void other_handler(std::string_view) { print("the wrong handler\n"); }

[[clang::no_thread_safety_analysis]] void unlock_unlocked() {
  turnkey::mutex mu;
  mu.unlock();
}

[[clang::no_thread_safety_analysis]] void lock_twice() {
  turnkey::mutex mu;
  mu.lock();
  mu.lock();
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  using turnkey::diagnostics::set_fatal_handler;
  if (set_fatal_handler(other_handler) != nullptr) print("there was a handler\n");
  if (set_fatal_handler(handler) != other_handler) print("not the handler before\n");
  turnkey::wait_group done;
  if (way == "thread") unlock_unlocked();
  if (way == "goroutine") done.go({.name = "culprit"}, unlock_unlocked);
  if (way == "exception") done.go({.name = "culprit"}, [] { throw std::runtime_error("out"); });
  if (way == "deadlock") lock_twice();
  if (way == "removed") {
    set_fatal_handler(nullptr);
    unlock_unlocked();
  }
  done.wait();
  std::puts("went on");
}
