// P6:  what does a goroutine cost from its start until it was waited for?        turnkey, std::thread, Go, Boost.Fiber
// P7:  what does a goroutine cost that waits, in time and memory?                turnkey, Go, Boost.Fiber
// P8:  what does it cost to let the others run?                                  turnkey, Go, Boost.Fiber
// P12: a thousand goroutines add 1 under a mutex, how long does it take?         turnkey, std::thread, Go, Boost.Fiber
//
// In Go the starting side is always a goroutine. Ours may be an OS thread as well, which has to wake a worker and be woken
// by one, so that is a row of its own. All numbers are of a warm program, which has done the same just before; but for P7, whose
// memory is that of a process which has done nothing else.
#include <algorithm>
#include <mutex>
#include <thread>

#include "bench.hpp"

namespace {

using namespace bench;

// ---- P6 ------------------------------------------------------------------------------------------------------------

// Nanoseconds for each goroutine.
sample goroutines_in_batches(int batch, int batches) {
  start_and_wait(std::min(batch, 1000));
  return {time_each(batches, [&] { start_and_wait(batch); }) / batch};
}

sample threads_in_batches(int batch) {
  return {time_each(1,
                    [&] {
                      std::vector<std::thread> all;
                      for (int i = 0; i < batch; ++i) all.emplace_back([] {});
                      for (std::thread& each : all) each.join();
                    }) /
          batch};
}

const registration starting([](suite& all) {
  const goal aim{goal::relation::at_most, 0.25, side::go};
  benchmark thousand{
      .id = "P6.1000",
      .question = "start goroutines and wait for them, a thousand at a time",
      .unit = "ns each",
      .goals = {aim},
      .contenders = {{"turnkey, from a goroutine", side::ours,
                      [] { return in_goroutine([] { return goroutines_in_batches(1000, 100); }); }},
                     {"turnkey, from a thread", side::ours, [] { return goroutines_in_batches(1000, 100); }},
                     {"std::thread", side::standard, [] { return threads_in_batches(1000); }},
                     go_peer("goroutines", "start", {1000, 100})}};
  add_boost_peers(thousand, "start", {1000, 100});
  all.add(std::move(thousand));
  all.add({.id = "P6.1000000",
           .question = "start a million goroutines, then wait for them",
           .unit = "ns each",
           .goals = {aim},
           .contenders = {{"turnkey, from a goroutine", side::ours,
                           [] { return in_goroutine([] { return goroutines_in_batches(1'000'000, 1); }); }},
                          {"turnkey, from a thread", side::ours, [] { return goroutines_in_batches(1'000'000, 1); }},
                          go_peer("goroutines", "start", {1'000'000, 1})}});
});

// ---- P7 ------------------------------------------------------------------------------------------------------------

void add_parked(suite& all, int goroutines) {
  benchmark one{
      .id = "P7." + std::to_string(goroutines),
      .question = "start " + std::to_string(goroutines) + " goroutines that wait",
      .unit = "ns each",
      .figure_names = {"bytes each"},
      .goals = {{goal::relation::at_most, 1.2, side::go}, {goal::relation::at_most, 4500, side::ours, "bytes each"}},
      .contenders = {own_peer("turnkey", "parked", {goroutines}), go_peer("goroutines", "parked", {goroutines})}};
  // A million stacks of Boost's would not fit.
  if (goroutines <= 100'000) one.contenders.push_back(boost_peer("Boost.Fiber, 1 worker", "parked", {goroutines, 1}));
  leave_out_unless_room_for(one, goroutines);
  all.add(std::move(one));
}

const registration parking([](suite& all) {
  add_parked(all, 100'000);
  add_parked(all, 1'000'000);
});

// ---- P8 ------------------------------------------------------------------------------------------------------------

// Nanoseconds for each yield.
sample yields_among(int goroutines, int times) {
  const auto start = clock::now();
  turnkey::wait_group all;
  all.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    turnkey::go([&all, times] {
      for (int k = 0; k < times; ++k) turnkey::this_goroutine::yield();
      all.done();
    });
  }
  all.wait();
  return {nanoseconds_since(start) / goroutines / times};
}

void add_yield(suite& all, int goroutines, int times) {
  benchmark one{.id = "P8." + std::to_string(goroutines),
                .question = "yield, " + std::to_string(goroutines) + " goroutines",
                .unit = "ns",
                .goals = {{goal::relation::at_most, 0.2, side::go}},
                .contenders = {{"turnkey", side::ours,
                                [=] { return in_goroutine([=] { return yields_among(goroutines, times); }); }},
                               go_peer("runtime.Gosched", "yield", {goroutines, times})}};
  if (goroutines > 2) add_by_workers(all, one);
  add_boost_peers(one, "yield", {goroutines, times});
  all.add(std::move(one));
}

const registration yielding([](suite& all) {
  add_yield(all, 2, 500'000);
  add_yield(all, 1000, 1000);
});

// ---- P12 -----------------------------------------------------------------------------------------------------------

constexpr int adders = 1000;

template <class Mutex>
class secure_counter {
 public:
  void increment() {
    const std::scoped_lock hold(mu_);
    ++value_;
  }

 private:
  Mutex mu_;
  int value_ = 0;
};

void count_with_goroutines() {
  secure_counter<turnkey::mutex> counter;
  turnkey::wait_group all;
  for (int i = 0; i < adders; ++i) {
    all.add();
    turnkey::go([&] {
      counter.increment();
      all.done();
    });
  }
  all.wait();
}

void count_with_threads() {
  secure_counter<std::mutex> counter;
  std::vector<std::thread> all;
  for (int i = 0; i < adders; ++i) all.emplace_back([&] { counter.increment(); });
  for (std::thread& each : all) each.join();
}

// Microseconds for each count to a thousand.
template <class F>
sample counted(F count_once, int times) {
  count_once();
  return {time_each(times, count_once) / 1e3};
}

const registration counting([](suite& all) {
  constexpr int times = 50;
  benchmark one{
      .id = "P12",
      .question = "1,000 goroutines add 1 to a counter under a mutex, warm",
      .unit = "us",
      .goals = {{goal::relation::at_most, 0.2, side::go}},
      .contenders = {{"turnkey, from a goroutine", side::ours,
                      [] { return in_goroutine([] { return counted(count_with_goroutines, times); }); }},
                     {"turnkey, from a thread", side::ours, [] { return counted(count_with_goroutines, times); }},
                     go_peer("goroutines", "count", {adders, times})}};
  add_by_workers(all, one);
  one.contenders.insert(one.contenders.begin() + 2,
                        {"std::thread", side::standard, [] { return counted(count_with_threads, 1); }});
  add_boost_peers(one, "count", {adders, times});
  all.add(std::move(one));
});

}  // namespace
