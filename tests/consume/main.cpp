// The least program that needs the headers, the library and what the library needs.
#include <cstdio>

#include <turnkey/turnkey.hpp>

int main() {
  int sum = 0;
  turnkey::mutex mu;
  turnkey::wait_group wg;
  for (int i = 0; i < 5; ++i) {
    wg.go([&] {
      const turnkey::lock_guard hold(mu);
      ++sum;
    });
  }
  wg.wait();
  std::printf("%d\n", sum);
  return sum == 5 ? 0 : 1;
}
