// Programs that hang in one way or other, for a SIGQUIT from outside. They say "ready" when they do.
#include <turnkey/turnkey.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

void say(const char* words) {
  std::puts(words);
  std::fflush(stdout);
}

// Until the parent writes something.
void wait_for_parent() {
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) < 0) {
  }
}

turnkey::chan<int> never = turnkey::make_chan<int>();

[[gnu::noinline]] void receives() {
  static_cast<void>(never.recv());
  asm volatile("" ::: "memory");
}

std::string dump() {
  std::ostringstream text;
  turnkey::diagnostics::dump(text);
  return text.str();
}

// Until this is what a dump says.
void await(const char* words) {
  while (dump().find(words) == std::string::npos) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}
constexpr const char* reader_is_parked = "\"reader\" [chan receive";

void parked() {
  turnkey::go({.name = "reader"}, receives);
  await(reader_is_parked);
  say("ready");
  wait_for_parent();
  say("done");
}

[[clang::no_thread_safety_analysis]] void waiting_main() {
  turnkey::go({.name = "reader"}, receives);
  await(reader_is_parked);
  // A program of which something still runs: nothing says that this is for ever.
  std::thread([] {
    await("[sync.Mutex.Lock");
    say("ready");
    for (;;) ::pause();
  }).detach();
  turnkey::mutex mu;
  mu.lock();
  mu.lock();
}

std::atomic<bool> is_spinning{false};

void spinning() {
  turnkey::go({.name = "spinner"}, [] {
    is_spinning = true;
    for (;;) {
      asm volatile("");
    }
  });
  while (!is_spinning) std::this_thread::yield();
  say("ready");
  wait_for_parent();
}

[[noreturn]] void allocates() {
  std::vector<void*> kept(100, nullptr);
  for (std::size_t i = 0;; ++i) {
    void*& one = kept[i % kept.size()];
    std::free(one);
    one = std::malloc(1500 + i % 7 * 1000);
  }
}

void allocating() {
  turnkey::go({.name = "reader"}, receives);
  turnkey::go({.name = "allocator"}, allocates);
  await(reader_is_parked);
  await("\"allocator\" [running]");
  std::thread(allocates).detach();
  say("ready");
  // Signals go to this thread first, if it does not block them.
  allocates();
}

// A thread holds the lock of malloc for ever, in all likelihood: it is stopped while it does nothing else.
void stopped_in_malloc() {
  turnkey::go({.name = "reader"}, receives);
  await(reader_is_parked);
  std::signal(SIGUSR1, [](int) {
    for (;;) ::pause();
  });
  const pthread_t self = pthread_self();
  std::thread([self] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    pthread_kill(self, SIGUSR1);
    static_cast<void>(::write(STDOUT_FILENO, "ready\n", 6));
  }).detach();
  allocates();
}

void own_handler() {
  std::signal(SIGQUIT, [](int) { static_cast<void>(::write(STDOUT_FILENO, "handled\n", 8)); });
  parked();
}

void ignored() {
  std::signal(SIGQUIT, SIG_IGN);
  parked();
}

void after_fork() {
  turnkey::go({.name = "reader"}, receives);
  await(reader_is_parked);
  say("ready");
  if (::fork() == 0) {
    std::raise(SIGQUIT);
    std::_Exit(7);
  }
  wait_for_parent();
  say("done");
}

#ifdef __SANITIZE_THREAD__
constexpr std::size_t count = 2'000;  // it knows no more than 8,000
#elif defined(__SANITIZE_ADDRESS__)
constexpr std::size_t count = 10'000;  // it takes long to start them
#else
constexpr std::size_t count = 100'000;
#endif

// Very many goroutines, and how long it takes to write what they do.
void many() {
  for (std::size_t i = 0; i < count; ++i) turnkey::go(receives);
  // Until all of them have come to wait.
  for (int tries = 0;; ++tries) {
    const auto start = std::chrono::steady_clock::now();
    std::ostringstream text;
    turnkey::diagnostics::dump(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const bool have_come = text.str().starts_with(std::to_string(count) + " goroutines: ") &&
                           text.str().find(" [chan receive") != std::string::npos;
    if (!have_come && tries < 100) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // sanitizers take long to start them
      continue;
    }
    std::cout << text.str();
    std::cerr << took.count() << '\n';
    return;
  }
}

void many_channels() {
  constexpr std::size_t some = 2'000;
  for (std::size_t i = 0; i < some; ++i) {
    turnkey::go([own = turnkey::make_chan<int>()] { static_cast<void>(own.recv()); });
  }
  std::string text;
  do {
    text = dump();
  } while (text.find("[chan receive") == std::string::npos || text.find("[runn") != std::string::npos);
  std::cout << text;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> ways{{"parked", parked},
                                                          {"waiting main", waiting_main},
                                                          {"spinning", spinning},
                                                          {"allocating", allocating},
                                                          {"stopped in malloc", stopped_in_malloc},
                                                          {"own handler", own_handler},
                                                          {"ignored", ignored},
                                                          {"after fork", after_fork},
                                                          {"many", many},
                                                          {"many channels", many_channels}};
  ways.at(argc > 1 ? argv[1] : "parked")();
}
