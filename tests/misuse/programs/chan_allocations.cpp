// Counts what channels and selects allocate once they are made. Prints 0.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include <turnkey/chan.hpp>
#include <turnkey/select.hpp>
#include <turnkey/turnkey.hpp>

namespace {
std::atomic<int> allocations{0};
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto step = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}
// Not counted: by this one a thread is started, now or later.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

int main() {
  using turnkey::on_recv;
  using turnkey::on_send;
  const auto there = turnkey::make_chan<int>();
  const auto back = turnkey::make_chan<std::unique_ptr<int>>(2);
  std::vector<turnkey::select_case> cases;
  for (int i = 0; i < 30; ++i) cases.emplace_back(on_recv(there));
  turnkey::wait_group done;
  done.go([&] {
    for (int i = 0; i < 400; ++i) {
      turnkey::select(on_recv(there), on_send(back, nullptr), turnkey::on_timeout(std::chrono::seconds(1)));
      if (i % 2 == 0) turnkey::select(cases);
    }
    back.close();
  });
  // A first round, in which records of threads are made.
  there.send(0);
  (void)there.send_for(0, std::chrono::microseconds(1));
  const int before = allocations;
  std::unique_ptr<int> v;
  for (int i = 0;; ++i) {
    const std::size_t which = turnkey::select(on_send(there, i),
                                              on_recv(back,
                                                      [&](auto&& got) {
                                                        v = nullptr;
                                                        (void)got;
                                                      }),
                                              turnkey::on_timeout(std::chrono::seconds(1)));
    if (which == 2) break;
    if (back.try_recv(v) == turnkey::chan_status::closed) break;
    if (i % 7 == 0) (void)there.send_for(1, std::chrono::nanoseconds(100));
  }
  std::printf("%d\n", allocations - before);
  done.wait();
}
