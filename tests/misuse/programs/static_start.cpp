// Goroutines that static initialisation starts and waits for.
#include <cstdio>

#include <turnkey/wait_group.hpp>

namespace {

int sum_by_goroutines() {
  turnkey::wait_group done;
  int parts[10] = {};
  for (int i = 0; i < 10; ++i) done.go([&part = parts[i], i] { part = i; });
  done.wait();
  int sum = 0;
  for (const int part : parts) sum += part;
  return sum;
}

const int sum = sum_by_goroutines();

}  // namespace

int main() { std::printf("%d\n", sum); }
