// P1: what does a mutex cost that nobody else wants?           turnkey::mutex, std::mutex, Go's sync.Mutex
// P4: ten thousand goroutines and one mutex, how long?         turnkey, Go
//
// P1 locks and unlocks in a loop, in a program that has a second thread. P4 starts all goroutines, each of which locks
// and unlocks a hundred times, and waits for them.
#include <mutex>

#include "bench.hpp"

namespace {

using namespace bench;

template <class Mutex>
sample lock_and_unlock() {
  static apart<Mutex> mu;
  return {time_each(4'000'000, [] {
    mu.value.lock();
    touch_memory();
    mu.value.unlock();
  })};
}

constexpr int goroutines = 10'000;
constexpr int times = 100;

sample many_on_one() {
  apart<turnkey::mutex> mu;
  const auto start = clock::now();
  turnkey::wait_group all;
  all.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    turnkey::go([&] {
      for (int k = 0; k < times; ++k) {
        mu.value.lock();
        touch_memory();
        mu.value.unlock();
      }
      all.done();
    });
  }
  all.wait();
  return {nanoseconds_since(start) / 1e6};
}

const registration uncontended([](suite& all) {
  all.add({.id = "P1",
           .question = "a mutex that nobody else wants: lock and unlock",
           .unit = "ns",
           .goals = {{goal::relation::at_most, 0.5, side::standard}},
           .contenders = {
               {"turnkey::mutex, goroutine", side::ours, [] { return in_goroutine(lock_and_unlock<turnkey::mutex>); }},
               {"turnkey::mutex, thread", side::ours, lock_and_unlock<turnkey::mutex>},
               {"std::mutex", side::standard, lock_and_unlock<std::mutex>},
               go_peer("sync.Mutex", "mutex")}});
});

const registration crowd([](suite& all) {
  all.add({.id = "P4",
           .question = "10,000 goroutines lock and unlock one mutex 100 times each",
           .unit = "ms",
           .goals = {{goal::relation::at_most, 0.2, side::go}},
           .contenders = {{"turnkey", side::ours, [] { return in_goroutine(many_on_one); }},
                          go_peer("sync.Mutex", "mutex_crowd", {goroutines, times})}});
});

}  // namespace
