// expect: a lock cannot be copied
#include <utility>

#include <turnkey/mutex.hpp>

void call(turnkey::mutex& mu) {
#ifdef CONTROL
  turnkey::mutex& taken = mu;
#else
  turnkey::mutex taken = std::move(mu);
#endif
  taken.lock();
}
