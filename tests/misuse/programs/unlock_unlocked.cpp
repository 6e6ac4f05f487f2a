// unlock_unlocked WAY [goroutine]: unlocks what is not locked; catching everything does not help.
#include <cstdio>
#include <string_view>

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>
#include <turnkey/wait_group.hpp>

[[clang::no_thread_safety_analysis]] void misuse(std::string_view way) {
  turnkey::mutex mu;
  turnkey::rw_mutex rw;
  if (way == "mutex: unlock") mu.unlock();
  if (way == "mutex: lock, unlock, unlock") mu.lock(), mu.unlock(), mu.unlock();
  if (way == "rw_mutex: unlock") rw.unlock();
  if (way == "rw_mutex: lock_shared, unlock") rw.lock_shared(), rw.unlock();
  if (way == "rw_mutex: lock, unlock, unlock") rw.lock(), rw.unlock(), rw.unlock();
  if (way == "rw_mutex: unlock_shared") rw.unlock_shared();
  if (way == "rw_mutex: lock, unlock_shared") rw.lock(), rw.unlock_shared();
  if (way == "rw_mutex: lock_shared, unlock_shared, unlock_shared")
    rw.lock_shared(), rw.unlock_shared(), rw.unlock_shared();
  if (way.starts_with("rw_mutex: many reads")) {
    for (int i = 0; i < 1000; ++i) rw.lock_shared(), rw.unlock_shared();
  }
  if (way == "rw_mutex: many reads, unlock") rw.unlock();
  if (way == "rw_mutex: many reads, unlock_shared") rw.unlock_shared();
}

void misuse_and_catch(std::string_view way) {
  try {
    misuse(way);
  } catch (...) {
    std::puts("caught");
  }
}

int main(int argc, char** argv) {
  if (argc == 2) {
    misuse_and_catch(argv[1]);
  } else {
    turnkey::wait_group done;
    done.go({.name = "culprit"}, misuse_and_catch, argv[1]);
    done.wait();
  }
  std::puts("went on");
}
