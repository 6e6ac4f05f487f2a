// Every order that the library promises, relied upon by plain ints. No data race.
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <turnkey/turnkey.hpp>

namespace {

// before go() -> the goroutine; before done() -> after wait()
void go_and_wait_group() {
  int value = 1;
  turnkey::wait_group done;
  done.go([&] { ++value; });
  done.wait();
  ++value;
}

// unlock() -> the next lock(); goroutines and threads
void mutex() {
  turnkey::mutex mu;
  int value = 0;
  const auto add = [&] {
    for (int i = 0; i < 100; ++i) {
      const std::scoped_lock hold(mu);
      ++value;
    }
  };
  turnkey::wait_group done;
  for (int i = 0; i < 4; ++i) done.go(add);
  std::thread thread(add);
  add();
  thread.join();
  done.wait();
}

[[clang::no_thread_safety_analysis]] void unlock(turnkey::mutex& mu) { mu.unlock(); }

// An unlock by another than locked is right.
[[clang::no_thread_safety_analysis]] void unlock_by_another() {
  turnkey::mutex mu;
  int value = 0;
  mu.lock();
  value = 1;
  turnkey::wait_group done;
  done.go([&] {
    ++value;
    unlock(mu);
  });
  mu.lock();
  ++value;
  mu.unlock();
  done.wait();
}

void rw_mutex() {
  turnkey::rw_mutex rw;
  int value = 0;
  turnkey::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      for (int round = 0; round < 50; ++round) {
        {
          const std::scoped_lock hold(rw);
          ++value;
        }
        const std::shared_lock look(rw);
        if (value == 0) std::puts("zero");
      }
    });
  }
  done.wait();
}

// release() -> the acquire() that it lets go
void semaphore() {
  turnkey::semaphore token(1);
  token.acquire();
  int value = 0;
  turnkey::go([&] {
    value = 1;
    token.release();
  });
  token.acquire();
  ++value;
}

void condition_variable() {
  turnkey::mutex mu;
  turnkey::condition_variable changed;
  bool is_ready = false;
  int value = 0;
  turnkey::wait_group done;
  done.go([&] {
    std::unique_lock hold(mu);
    changed.wait(hold, [&] { return is_ready; });
    ++value;
  });
  {
    const std::scoped_lock hold(mu);
    value = 1;
    is_ready = true;
  }
  changed.notify_one();
  done.wait();
}

// what f did -> everyone whose call has returned
void once() {
  turnkey::once started;
  int value = 0;
  turnkey::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      started.call([&] { value = 1; });
      if (value != 1) std::puts("not once");
    });
  }
  done.wait();
}

void task_group() {
  int value = 0;
  turnkey::task_group tasks;
  tasks.go([&] { value = 1; });
  tasks.wait();
  ++value;
}

}  // namespace

int main() {
  for (int round = 0; round < 20; ++round) {
    go_and_wait_group();
    mutex();
    unlock_by_another();
    rw_mutex();
    semaphore();
    condition_variable();
    once();
    task_group();
  }
  std::puts("done");
}
