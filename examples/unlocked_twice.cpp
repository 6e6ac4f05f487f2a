// W7: unlocking what is not locked, in all eight ways. Each ends the program; no handler can stop that.
//
// In Go: the eight cases of the same misuse of `sync.Mutex` and `sync.RWMutex`, each a fatal error that recover does not
// see. Whoever unlocks too often lets two into the critical section later on, so going on would be worse.
// Usage: unlocked_twice 1..8
#include <cstdio>
#include <cstdlib>
#include <turnkey/turnkey.hpp>

namespace {

// Clang's -Wthread-safety would find all eight at compile time; the attribute tells it to look away.
[[clang::no_thread_safety_analysis]] void misuse(int way) {
  turnkey::mutex mu;
  turnkey::rw_mutex rw;
  if (way == 1) {
    mu.unlock();
  } else if (way == 2) {
    mu.lock();
    mu.unlock();
    mu.unlock();
  } else if (way == 3) {
    rw.unlock();
  } else if (way == 4) {
    rw.lock_shared();
    rw.unlock();  // the other one's unlock
  } else if (way == 5) {
    rw.lock();
    rw.unlock();
    rw.unlock();
  } else if (way == 6) {
    rw.unlock_shared();
  } else if (way == 7) {
    rw.lock();
    rw.unlock_shared();  // and the other way round
  } else if (way == 8) {
    rw.lock_shared();
    rw.unlock_shared();
    rw.unlock_shared();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int way = argc == 2 ? std::atoi(argv[1]) : 0;
  if (way < 1 || way > 8) {
    std::fputs("usage: unlocked_twice 1..8\n", stderr);
    return 64;
  }
  try {
    misuse(way);
  } catch (...) {
    std::puts("caught, and it must not be possible to catch it");
    return 1;
  }
  std::puts("still running, as if nothing had happened");
}
