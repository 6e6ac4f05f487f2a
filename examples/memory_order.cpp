// S11: what was written before is seen after. One litmus test for each thing that promises it.
//
// In Go: the happens-before edges of the memory model. `seed` and `data` are plain ints that no lock guards; what makes
// reading them right is the link between the two sides alone, and ThreadSanitizer would say so if it were missing.
#include <atomic>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <turnkey/turnkey.hpp>

namespace {

// A link: give(write) calls write() and then gives a sign; once is_given(write) is true, what write() did must be there.
template <class Giver, class Looker>
struct by_lock {
  typename Giver::mutex_type mu;
  std::atomic<bool> sign{false};  // relaxed: it carries the news and orders nothing
  void give(auto write) {
    write();
    const Giver hold(mu);
    sign.store(true, std::memory_order_relaxed);
  }
  bool is_given(auto /*write*/) {
    const Looker hold(mu);
    return sign.load(std::memory_order_relaxed);
  }
};

struct by_wait_group : turnkey::wait_group {
  by_wait_group() { add(); }
  void give(auto write) { write(), done(); }
  bool is_given(auto /*write*/) { return wait(), true; }
};

struct by_semaphore : turnkey::semaphore {
  by_semaphore() : semaphore(1) { acquire(); }
  void give(auto write) { write(), release(); }
  bool is_given(auto /*write*/) { return acquire(), true; }
};

struct by_once : turnkey::once {  // whoever comes first writes, the other one waits for it
  void give(auto write) { call(write); }
  bool is_given(auto write) { return call(write), true; }
};

template <class Link>
void litmus(const char* name) {
  constexpr int rounds = 500;
  int seen = 0;
  for (int round = 1; round <= rounds; ++round) {
    Link link;
    int data = 0;
    const int seed = round;  // read by the goroutine: `go` orders that
    const auto write = [&] { data = seed; };
    turnkey::wait_group giver;
    giver.go([&] { link.give(write); });
    while (!link.is_given(write)) turnkey::this_goroutine::yield();
    if (data == round) ++seen;
    giver.wait();  // only now, because this is a link as well
  }
  std::printf("%-35s %d of %d\n", name, seen, rounds);
}

}  // namespace

int main() {
  using locked = std::unique_lock<turnkey::mutex>;
  using writing = std::unique_lock<turnkey::rw_mutex>;
  using reading = std::shared_lock<turnkey::rw_mutex>;
  litmus<by_lock<locked, locked>>("mutex: unlock -> lock");
  litmus<by_lock<writing, reading>>("rw_mutex: unlock -> lock_shared");
  litmus<by_lock<reading, writing>>("rw_mutex: unlock_shared -> lock");
  litmus<by_wait_group>("wait_group: done -> wait");
  litmus<by_semaphore>("semaphore: release -> acquire");
  litmus<by_once>("once: call -> call");
}
