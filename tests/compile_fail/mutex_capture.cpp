// expect: a lock cannot be copied
#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>

void call(turnkey::mutex& mu) {
#ifdef CONTROL
  turnkey::go([&mu] { mu.lock(); });
#else
  turnkey::go([mu]() mutable { mu.lock(); });
#endif
}
