// P2: what does a read lock cost while nobody writes and nobody else reads?
//
// turnkey::rw_mutex, std::shared_mutex, Go's sync.RWMutex: lock for reading and unlock, in a loop.
#include <shared_mutex>

#include "bench.hpp"

namespace {

using namespace bench;

template <class Mutex>
sample read_lock_and_unlock() {
  static apart<Mutex> mu;
  return {time_each(4'000'000, [] {
    mu.value.lock_shared();
    touch_memory();
    mu.value.unlock_shared();
  })};
}

const registration uncontended([](suite& all) {
  all.add({.id = "P2",
           .question = "a read lock that nobody disputes: lock and unlock",
           .unit = "ns",
           .goals = {{goal::relation::at_most, 0.35, side::standard}},
           .contenders = {{"turnkey::rw_mutex, goroutine", side::ours,
                           [] { return in_goroutine(read_lock_and_unlock<turnkey::rw_mutex>); }},
                          {"turnkey::rw_mutex, thread", side::ours, read_lock_and_unlock<turnkey::rw_mutex>},
                          {"std::shared_mutex", side::standard, read_lock_and_unlock<std::shared_mutex>},
                          go_peer("sync.RWMutex", "rwmutex")}});
});

}  // namespace
