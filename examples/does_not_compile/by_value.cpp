// W8: a mutex handed over by value. In Go this compiles: `go vet` may find it, or else the copy guards nothing.
#include <turnkey/mutex.hpp>

void increment(turnkey::mutex mu, int& counter);

void count(turnkey::mutex& mu, int& counter) {
  increment(mu, counter);  // a reference would do: turnkey::mutex&
}
