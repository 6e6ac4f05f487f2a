// no_more_threads WAY: the system has no thread to give, for the first goroutine or later on.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include <turnkey/turnkey.hpp>

namespace {
std::atomic<bool> are_used_up{false};
}

// Stands before the C library's.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                              void* argument) {
  if (are_used_up.load(std::memory_order_relaxed)) return EAGAIN;
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto next = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "pthread_create"));
  return next(thread, attributes, body, argument);
}

int main(int, char** argv) {
  const std::string_view way = argv[1];
  turnkey::wait_group done;
  if (way == "at first") {
    are_used_up = true;
    try {
      done.go([] { std::puts("ran"); });
    } catch (const std::system_error& error) {
      std::printf("std::system_error %d\n", error.code() == std::errc::resource_unavailable_try_again);
    }
    done.wait();  // the counter is as before
    are_used_up = false;
    done.go([] { std::puts("ran later"); });
    done.wait();
  }
  if (way == "later") {
    turnkey::set_max_procs(1);
    done.go([] {});
    done.wait();
    are_used_up = true;
    turnkey::set_max_procs(8);
    for (int i = 0; i < 100; ++i) {
      done.go([] {
        turnkey::this_goroutine::sleep_for(std::chrono::microseconds(100));
        turnkey::blocking([] {});
        turnkey::this_goroutine::yield();
      });
    }
    done.wait();
    std::puts("all ran");
  }
}
