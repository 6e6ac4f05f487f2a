// A goroutine writes through a wild pointer: no stack overflow, so none of the library's business.
#include <cstdint>

#include <turnkey/wait_group.hpp>

volatile std::uintptr_t wild = 64;

int main() {
  turnkey::wait_group done;
  done.go({.name = "careless"}, [] { *reinterpret_cast<volatile int*>(wild) = 1; });
  done.wait();
}
