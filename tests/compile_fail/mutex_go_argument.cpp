// expect: deleted|no matching function|use of deleted
#include <functional>

#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>

void work(turnkey::mutex& mu);

void call(turnkey::mutex& mu) {
#ifdef CONTROL
  turnkey::go(work, std::ref(mu));
#else
  turnkey::go(work, mu);
#endif
}
