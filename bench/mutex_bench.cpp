// P1:  what does a mutex cost that nobody else wants?           turnkey, std, Go, abseil, oneTBB, nsync, parking_lot
// P4:  ten thousand goroutines and one mutex, how long?         turnkey, Go, Boost.Fiber
// P14: how large is a lock?                                     the same as P1
//
// P1 locks and unlocks in a loop, in a program that has a second thread; its floor is a compare-and-swap and a plain store. P4
// starts all goroutines, each of which locks and unlocks a hundred times, and waits for them.
#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "rivals.hpp"

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

// What every lock needs: to be the one who has it, and to show others what one has done. It keeps nobody waiting, and knows nobody.
struct bare_lock {
  std::atomic<bool> is_held{false};
  void lock() {
    bool free = false;
    // order: acquire -- pairs with unlock().
    is_held.compare_exchange_strong(free, true, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() { is_held.store(false, std::memory_order_release); }
};

constexpr int goroutines = 10'000;
constexpr int times = 100;

double milliseconds_of_many_on_one() {
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
  return nanoseconds_since(start) / 1e6;
}

sample many_on_one() {
  milliseconds_of_many_on_one();  // to warm up, as the peers do
  return {milliseconds_of_many_on_one()};
}

const registration uncontended([](suite& all) {
  benchmark one{.id = "P1",
                .question = "a mutex that nobody else wants: lock and unlock",
                .unit = "ns",
                .goals = {{goal::relation::at_most, 0.5, side::standard}},
                .contenders = {{"turnkey::mutex, goroutine", side::ours,
                                [] { return in_goroutine(lock_and_unlock<turnkey::mutex>); }},
                               {"turnkey::mutex, thread", side::ours, lock_and_unlock<turnkey::mutex>},
                               {"std::mutex", side::standard, lock_and_unlock<std::mutex>},
                               go_peer("sync.Mutex", "mutex")}};
  add_rival_mutexes(one, []<class Mutex>() { return lock_and_unlock<Mutex>; });
  one.contenders.push_back(rust_peer("parking_lot::Mutex", "mutex"));
  one.contenders.push_back({"floor: CAS and a plain store", side::floor, lock_and_unlock<bare_lock>});
  all.add(std::move(one));
});

const registration crowd([](suite& all) {
  benchmark one{.id = "P4",
                .question = "10,000 goroutines lock and unlock one mutex 100 times each",
                .unit = "ms",
                .goals = {{goal::relation::at_most, 0.2, side::go}},
                .contenders = {{"turnkey", side::ours, [] { return in_goroutine(many_on_one); }},
                               go_peer("sync.Mutex", "mutex_crowd", {goroutines, times})}};
  add_by_workers(all, one);
  add_boost_peers(one, "mutex_crowd", {goroutines, times, 1});
  all.add(std::move(one));
});

// ---- P14 -----------------------------------------------------------------------------------------------------------

template <class Thing>
sample size() {
  return {static_cast<double>(sizeof(Thing))};
}

const registration sizes([](suite& all) {
  const auto measure = []<class Mutex>() { return size<Mutex>; };
  benchmark mutex{.id = "P14.mutex",
                  .question = "the size of a mutex",
                  .unit = "bytes",
                  .goals = {{goal::relation::at_most, 16, side::ours}},
                  .contenders = {{"turnkey::mutex", side::ours, size<turnkey::mutex>},
                                 {"std::mutex", side::standard, size<std::mutex>},
                                 go_peer("sync.Mutex", "size_mutex")}};
  add_rival_mutexes(mutex, measure);
  mutex.contenders.push_back(rust_peer("parking_lot::Mutex", "size_mutex"));
  all.add(std::move(mutex));

  benchmark rw_mutex{.id = "P14.rw_mutex",
                     .question = "the size of a reader-writer lock",
                     .unit = "bytes",
                     .goals = {{goal::relation::at_most, 32, side::ours}},
                     .contenders = {{"turnkey::rw_mutex", side::ours, size<turnkey::rw_mutex>},
                                    {"std::shared_mutex", side::standard, size<std::shared_mutex>},
                                    go_peer("sync.RWMutex", "size_rwmutex")}};
  add_rival_rw_mutexes(rw_mutex, measure);
  rw_mutex.contenders.push_back(rust_peer("parking_lot::RwLock", "size_rwmutex"));
  all.add(std::move(rw_mutex));
});

}  // namespace
