// fatal_at_once WAY: several make a fatal mistake at the same moment.
#include <atomic>
#include <stdexcept>
#include <string_view>
#include <thread>

#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>

namespace {

constexpr int culprits = 4;
std::atomic<int> ready{0};
turnkey::semaphore never(0);

void rendezvous() {
  ready.fetch_add(1, std::memory_order_acq_rel);
  while (ready.load(std::memory_order_acquire) < culprits) {
  }
}

[[clang::no_thread_safety_analysis]] void unlock_unlocked() {
  turnkey::mutex mu;
  rendezvous();
  mu.unlock();
}

void throw_out() {
  rendezvous();
  throw std::runtime_error("out");
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  turnkey::set_max_procs(culprits);
  for (int i = 0; i < culprits; ++i) {
    if (way == "goroutines") turnkey::go(unlock_unlocked);
    if (way == "threads") std::thread(unlock_unlocked).detach();
    if (way == "exceptions") turnkey::go(throw_out);
    if (way == "mixed") {
      if (i % 3 == 0) turnkey::go(unlock_unlocked);
      if (i % 3 == 1) std::thread(unlock_unlocked).detach();
      if (i % 3 == 2) turnkey::go(throw_out);
    }
  }
  never.acquire();
}
