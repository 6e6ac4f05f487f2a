// deadlock WAY: everybody waits, and nobody can ever wake them.
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <string_view>
#include <thread>

#include <turnkey/turnkey.hpp>

namespace {

using turnkey::go;

// All that anybody waits for lives as long as the program, however main ends.
turnkey::mutex first_mu;
turnkey::mutex second_mu;
turnkey::rw_mutex rw;
turnkey::semaphore tokens(0);
turnkey::wait_group never;   // nobody calls done()
turnkey::wait_group locked;  // done() once the locks are held
turnkey::condition_variable changed;
turnkey::once started;

[[clang::no_thread_safety_analysis]] void lock_without_unlock(turnkey::mutex& mu) { mu.lock(); }

// No goroutine at all: the one thread there is locks twice.
void relock() {
  lock_without_unlock(first_mu);
  lock_without_unlock(first_mu);
}

void relock_in_goroutine() {
  go({.name = "twice"}, relock);
  never.wait();
}

// The holder is there and waits for something else.
void lock_never_unlocked() {
  locked.add();
  go({.name = "forgetful"}, [] {
    lock_without_unlock(first_mu);
    locked.done();
    never.wait();
  });
  locked.wait();
  go({.name = "patient"}, [] { lock_without_unlock(first_mu); });
  never.wait();
}

void holder_has_ended() {
  locked.go({.name = "forgetful"}, [] { lock_without_unlock(first_mu); });
  locked.wait();
  lock_without_unlock(first_mu);
}

void held_by_main() {
  lock_without_unlock(first_mu);
  go({.name = "patient"}, [] { lock_without_unlock(first_mu); });
  never.wait();
}

void wait_group_never_done() {
  go({.name = "waits for main"}, [] { tokens.acquire(); });
  never.wait();
}

// One thread holds the first and wants the second; one holds the second and waits for a goroutine that wants the first.
void threads_and_goroutines() {
  static turnkey::wait_group worked;
  worked.add();
  locked.add(2);
  std::thread([] {
    lock_without_unlock(first_mu);
    locked.done();
    locked.wait();
    lock_without_unlock(second_mu);
  }).detach();
  std::thread([] {
    lock_without_unlock(second_mu);
    locked.done();
    worked.wait();
  }).detach();
  go({.name = "worker"}, [] {
    locked.wait();
    const std::scoped_lock hold(first_mu);
    worked.done();
  });
  tokens.acquire();
}

void main_has_ended() {
  go({.name = "left alone"}, [] { tokens.acquire(); });
  pthread_exit(nullptr);
}

// Somebody for each reason to wait, named after it.
[[clang::no_thread_safety_analysis]] void every_reason() {
  first_mu.lock();
  rw.lock();
  locked.add();
  go({.name = "in once"}, [] {
    started.call([] {
      locked.done();
      never.wait();
    });
  });
  locked.wait();
  go({.name = "for mutex"}, [] { lock_without_unlock(first_mu); });
  go({.name = "for writing"}, [] { const std::scoped_lock hold(rw); });
  go({.name = "for reading"}, [] { const std::shared_lock hold(rw); });
  go({.name = "for group"}, [] { never.wait(); });
  go({.name = "for once"}, [] { started.call([] {}); });
  go({.name = "for condition"}, [] {
    std::unique_lock hold(second_mu);
    changed.wait(hold);
  });
  go({.name = "for tokens"}, [] { tokens.acquire(); });
  go({.name = "for tasks"}, [] {
    turnkey::task_group tasks;
    tasks.go({.name = "task"}, [] { tokens.acquire(); });
    tasks.wait();
  });
  never.wait();
}

// The workers have run, and gone to sleep, before.
void after_work() {
  for (int round = 0; round < 10; ++round) {
    turnkey::wait_group done;
    for (int i = 0; i < 100; ++i) done.go([] { turnkey::this_goroutine::sleep_for(std::chrono::microseconds(100)); });
    done.wait();
  }
  (void)turnkey::blocking([] { return 1; });
  never.wait();
}

// A token that can never be stopped and a limit that never comes are no help.
void unlimited_limits() {
  go({.name = "stoppable by nobody"}, [] { (void)tokens.acquire(std::stop_token()); });
  go({.name = "stoppable by nobody, for condition"}, [] {
    std::unique_lock hold(second_mu);
    changed.wait(hold, std::stop_token(), [] { return false; });
  });
  go({.name = "until the end of time"}, [] { (void)tokens.try_acquire_for(std::chrono::nanoseconds::max()); });
  never.wait();
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  never.add();
  if (way == "relock") relock();
  if (way == "relock in goroutine") relock_in_goroutine();
  if (way == "lock never unlocked") lock_never_unlocked();
  if (way == "holder has ended") holder_has_ended();
  if (way == "held by main") held_by_main();
  if (way == "wait_group never done") wait_group_never_done();
  if (way == "threads and goroutines") threads_and_goroutines();
  if (way == "main has ended") main_has_ended();
  if (way == "every reason") every_reason();
  if (way == "after work") after_work();
  if (way == "unlimited limits") unlimited_limits();
  std::puts("went on");
}
