// W8: a mutex captured by value: each goroutine would lock its own.
#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>

int main() {
  turnkey::mutex mu;
  turnkey::go([mu]() mutable { mu.lock(); });  // [&mu] would share it
}
