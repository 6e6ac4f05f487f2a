// How the figures grow: with goroutines (S1 to S3), with locks (S4, S5), with those that wait (S6 to S11), with timers (S12),
// with workers (S13, S14). turnkey, Go and std where they have the thing; std has threads, of which there cannot be so many.
//
// Each row is a curve, from 1 (S3: 100) to as many as the machine has room for, and each figure is of one operation: a line without slope
// does not grow. growth.hpp fits the slope. What is woken is a thousand goroutines at least, of as many locks as that takes, so
// that the first points do not measure how long it takes to begin; each lock has its n.
#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "crowd.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;

struct curve {
  std::string id;
  std::string title;
  std::string axis;
  std::string unit = "ns each";
  bool is_more_better = false;
  std::vector<std::string> figure_names = {};
};

benchmark point_of(const curve& line, int at, std::vector<contender> contenders) {
  return {.id = line.id + "." + std::to_string(at),
          .question = line.title + "; n = " + std::to_string(at),
          .unit = line.unit,
          .is_more_better = line.is_more_better,
          .figure_names = line.figure_names,
          .contenders = std::move(contenders),
          .on = point{line.id + ": " + line.title, line.axis, static_cast<double>(at), true}};
}

std::vector<int> powers_of_ten(int last) {
  std::vector<int> all;
  for (int at = 1; at <= last; at *= 10) all.push_back(at);
  return all;
}
constexpr int million = 1'000'000;
constexpr int most_waiters = 100'000;

// A measurement of ours, in a goroutine, as everything in Go is.
template <class F>
std::function<sample()> in_a_goroutine(F f) {
  return [f] { return in_goroutine(f); };
}

// ---- goroutines: S1 to S3 --------------------------------------------------------------------------------------------------------

// So many times that it lasts.
int times_for(int goroutines) { return std::max(1, 20'000 / goroutines); }

sample started(int goroutines) {
  return {time_each(times_for(goroutines), [=] { start_and_wait(goroutines); }) / goroutines};
}

const registration goroutines([](suite& all) {
  const curve starting{.id = "S1", .title = "start n goroutines and wait for them", .axis = "goroutines"};
  const curve yielding{.id = "S2", .title = "yield among n goroutines", .axis = "goroutines"};
  const curve parked{
      .id = "S3", .title = "start n goroutines that wait", .axis = "goroutines", .figure_names = {"bytes each"}};
  for (const int n : powers_of_ten(million)) {
    all.add(point_of(starting, n,
                     {{"turnkey", side::ours, in_a_goroutine([=] { return started(n); })},
                      go_peer("goroutines", "start", {n, times_for(n)})}));
    // In processes of their own: the stacks of a million goroutines stay with the process.
    const int times = std::max(10, million / 2 / n);
    benchmark yields =
        point_of(yielding, n,
                 {own_peer("turnkey", "yield", {n, times}), go_peer("runtime.Gosched", "yield_together", {n, times})});
    leave_out_unless_room_for(yields, n);
    all.add(std::move(yields));
    if (n < 100) continue;  // what a few take is lost among the pages of the process
    benchmark waiting = point_of(parked, n, {own_peer("turnkey", "parked", {n}), go_peer("goroutines", "parked", {n})});
    leave_out_unless_room_for(waiting, n);
    all.add(std::move(waiting));
  }
});

// ---- locks: S4, S5 ---------------------------------------------------------------------------------------------------------------

// Locks and unlocks a random one of so many, which nobody else wants. Its cost is that of the lock and, as they become more, that
// of the cache misses and page walks to get to it; a smaller lock has fewer.
template <class Lock, class Hold>
sample one_of(int count) {
  const std::unique_ptr<Lock[]> locks(new Lock[static_cast<std::size_t>(count)]);
  for (int i = 0; i < count; ++i) const Hold touched(locks[static_cast<std::size_t>(i)]);
  std::uint64_t random = first_random;
  return {time_each(million, [&] {
    // A remainder would cost more than the lock.
    const Hold hold(locks[(next_random(random) >> 32) * static_cast<std::uint64_t>(count) >> 32]);
    touch_memory();
  })};
}

template <class Lock>
sample one_locked_of(int count) {
  return one_of<Lock, std::lock_guard<Lock>>(count);
}
template <class Lock>
sample one_read_of(int count) {
  return one_of<Lock, std::shared_lock<Lock>>(count);
}

const registration locks([](suite& all) {
  const curve locking{.id = "S4", .title = "lock and unlock a random one of n mutexes", .axis = "locks", .unit = "ns"};
  const curve reading{
      .id = "S5", .title = "read-lock and unlock a random one of n reader-writer locks", .axis = "locks", .unit = "ns"};
  for (const int n : powers_of_ten(million)) {
    all.add(point_of(locking, n,
                     {{"turnkey::mutex", side::ours, in_a_goroutine([=] { return one_locked_of<turnkey::mutex>(n); })},
                      {"std::mutex", side::standard, [=] { return one_locked_of<std::mutex>(n); }},
                      go_peer("sync.Mutex", "one_mutex_of", {n})}));
    all.add(
        point_of(reading, n,
                 {{"turnkey::rw_mutex", side::ours, in_a_goroutine([=] { return one_read_of<turnkey::rw_mutex>(n); })},
                  {"std::shared_mutex", side::standard, [=] { return one_read_of<std::shared_mutex>(n); }},
                  go_peer("sync.RWMutex", "one_rwmutex_of", {n})}));
  }
});

// ---- those that wait: S6 to S11 --------------------------------------------------------------------------------------------------

// Long enough for so many who have said that they are about to wait to do so. A writer gives way for 1 ms before that, and queues up
// when his turn comes again. If the last one does not, one figure is wrong.
void settle(int waiters) { turnkey::this_goroutine::sleep_for(2ms + waiters * 1us); }

constexpr int least_woken = 1000;

// What many wait at. Shut by the one who measures; pass() returns only after open(), or after the stop request if it is given one.
template <class Lock>
struct lock_gate {
  Lock mu;
  [[clang::no_thread_safety_analysis]] void shut() { mu.lock(); }
  [[clang::no_thread_safety_analysis]] void open() { mu.unlock(); }
  void pass() { const std::lock_guard hold(mu); }
  [[clang::no_thread_safety_analysis]] void pass(std::stop_token stop) {
    if (mu.lock(std::move(stop))) mu.unlock();
  }
};
struct read_gate : lock_gate<turnkey::rw_mutex> {
  void pass() { const std::shared_lock hold(mu); }
  [[clang::no_thread_safety_analysis]] void pass(std::stop_token stop) {
    if (mu.lock_shared(std::move(stop))) mu.unlock_shared();
  }
};
// The many write, and who can be stopped reads.
struct mixed_gate : read_gate {
  using read_gate::pass;
  void pass() { const std::lock_guard hold(mu); }
};
struct wait_group_gate {
  turnkey::wait_group opened;
  void shut() { opened.add(); }
  void open() { opened.done(); }
  void pass() { opened.wait(); }
};
struct channel_gate {
  turnkey::chan<int> opened = turnkey::make_chan<int>();
  void shut() {}
  void open() const { opened.close(); }
  void pass() const { opened.recv(); }
};
struct condition_gate {
  turnkey::mutex mu;
  turnkey::condition_variable changed;
  bool is_open = false;
  void shut() {}
  void open() {
    {
      const std::lock_guard hold(mu);
      is_open = true;
    }
    changed.notify_all();
  }
  void pass() {
    std::unique_lock hold(mu);
    changed.wait(hold, [this] { return is_open; });
  }
};

// From the opening until the last has passed and ended.
template <class Gate>
sample passed(int waiters) {
  const int count = std::max(1, least_woken / waiters);
  std::vector<Gate> gates(static_cast<std::size_t>(count));
  turnkey::wait_group about_to_wait;
  turnkey::wait_group woken;
  for (Gate& gate : gates) {
    gate.shut();
    about_to_wait.add(waiters);
    woken.add(waiters);
    for (int i = 0; i < waiters; ++i) {
      turnkey::go([&] {
        about_to_wait.done();
        gate.pass();
        woken.done();
      });
    }
  }
  about_to_wait.wait();
  settle(count * waiters);
  const auto start = clock::now();
  for (Gate& gate : gates) gate.open();
  woken.wait();
  return {nanoseconds_since(start) / count / waiters};
}

template <class Gate>
contender gate_of(const std::string& name, int waiters) {
  return {name, side::ours, in_a_goroutine([=] { return passed<Gate>(waiters); })};
}

const registration wakes([](suite& all) {
  const curve queue{
      .id = "S6", .title = "a lock that n goroutines wait for passes through all of them", .axis = "waiters"};
  const curve group{.id = "S7", .title = "a wait_group lets n goroutines go that wait for it", .axis = "waiters"};
  const curve closed{.id = "S8", .title = "a channel is closed on n goroutines that receive", .axis = "waiters"};
  const curve all_told{.id = "S9", .title = "notify_all wakes n goroutines, who all want the mutex", .axis = "waiters"};
  for (const int n : powers_of_ten(most_waiters)) {
    all.add(point_of(queue, n,
                     {gate_of<lock_gate<turnkey::mutex>>("turnkey::mutex", n),
                      gate_of<lock_gate<turnkey::rw_mutex>>("turnkey::rw_mutex, writers", n),
                      gate_of<read_gate>("turnkey::rw_mutex, readers", n), go_peer("sync.Mutex", "pass_mutex", {n}),
                      go_peer("sync.RWMutex, writers", "pass_writers", {n}),
                      go_peer("sync.RWMutex, readers", "pass_readers", {n})}));
    all.add(point_of(group, n,
                     {gate_of<wait_group_gate>("turnkey", n), go_peer("sync.WaitGroup", "pass_wait_group", {n})}));
    all.add(point_of(closed, n, {gate_of<channel_gate>("turnkey", n), go_peer("chan", "pass_channel", {n})}));
    all.add(point_of(all_told, n, {gate_of<condition_gate>("turnkey", n), go_peer("sync.Cond", "pass_cond", {n})}));
  }
});

constexpr int notifications = 20'000;

// Wakes one of so many, who waits again; so they do not become fewer.
sample notified(int waiters) {
  turnkey::mutex mu;
  turnkey::condition_variable changed;
  int waiting = 0;
  bool is_over = false;
  turnkey::wait_group all;
  for (int i = 0; i < waiters; ++i) {
    all.go([&] {
      std::unique_lock hold(mu);
      while (!is_over) {
        ++waiting;
        changed.wait(hold);
      }
    });
  }
  const auto await_all = [&] {
    for (;; turnkey::this_goroutine::yield()) {
      const std::lock_guard hold(mu);
      if (waiting == waiters) return;
    }
  };
  await_all();
  const double each = time_each(notifications, [&] {
    {
      const std::lock_guard hold(mu);
      --waiting;
    }
    changed.notify_one();
    await_all();
  });
  {
    const std::lock_guard hold(mu);
    is_over = true;
  }
  changed.notify_all();
  all.wait();
  return {each};
}

// One more waits for a lock that so many wait for, and gives up: from the stop request until he has left.
template <class Gate>
sample given_up(int waiters) {
  constexpr int times = 50;
  Gate gate;
  gate.shut();
  turnkey::wait_group about_to_wait;
  turnkey::wait_group all;
  about_to_wait.add(waiters);
  for (int i = 0; i < waiters; ++i) {
    all.go([&] {
      about_to_wait.done();
      gate.pass();
    });
  }
  about_to_wait.wait();
  settle(waiters);
  double elapsed = 0;
  for (int i = 0; i < times; ++i) {
    std::stop_source quitting;
    turnkey::wait_group quitter;
    about_to_wait.add();
    quitter.go([&] {
      about_to_wait.done();
      gate.pass(quitting.get_token());
    });
    about_to_wait.wait();
    settle(1);
    const auto start = clock::now();
    quitting.request_stop();
    quitter.wait();
    elapsed += nanoseconds_since(start);
  }
  gate.open();
  all.wait();
  return {elapsed / times};
}

template <class Gate>
contender giving_up(const std::string& name, int waiters) {
  return {name, side::ours, in_a_goroutine([=] { return given_up<Gate>(waiters); })};
}

const registration leaving([](suite& all) {
  const curve one_told{.id = "S10",
                       .title = "notify_one with n goroutines waiting; the one that was woken waits again",
                       .axis = "waiters",
                       .unit = "ns"};
  const curve one_off{
      .id = "S11", .title = "one gives up that waits behind n others for a lock", .axis = "waiters", .unit = "ns"};
  for (const int n : powers_of_ten(most_waiters)) {
    all.add(point_of(one_told, n,
                     {{"turnkey", side::ours, in_a_goroutine([=] { return notified(n); })},
                      go_peer("sync.Cond", "notify", {n, notifications})}));
    all.add(point_of(one_off, n,
                     {giving_up<lock_gate<turnkey::mutex>>("turnkey::mutex", n),
                      giving_up<lock_gate<turnkey::rw_mutex>>("turnkey::rw_mutex, a writer behind writers", n),
                      giving_up<read_gate>("turnkey::rw_mutex, a reader behind readers", n),
                      giving_up<mixed_gate>("turnkey::rw_mutex, a reader behind writers", n)}));
  }
});

// ---- timers: S12 -----------------------------------------------------------------------------------------------------------------

// Puts a call off and stops it, with so many others pending. All are due in an hour or two, at random.
sample timed(int pending) {
  constexpr int times = 200'000;
  std::uint64_t random = first_random;
  const auto put_off = [&random] {
    return turnkey::run_after(1h + std::chrono::nanoseconds(next_random(random) % 3'600'000'000'000), [] {});
  };
  std::vector<turnkey::delayed_call> others;
  others.reserve(static_cast<std::size_t>(pending));
  for (int i = 0; i < pending; ++i) others.push_back(put_off());
  const double each = time_each(times, [&] { put_off().stop(); });
  for (turnkey::delayed_call& one : others) one.stop();
  return {each};
}

const registration timers([](suite& all) {
  const curve starting{
      .id = "S12", .title = "put a call off and stop it, n others pending", .axis = "timers", .unit = "ns"};
  for (const int n : powers_of_ten(million)) {
    all.add(point_of(starting, n,
                     {{"turnkey::run_after", side::ours, in_a_goroutine([=] { return timed(n); })},
                      go_peer("time.AfterFunc", "timers", {n})}));
  }
});

// ---- workers: S13, S14 -----------------------------------------------------------------------------------------------------------

// Goroutines that have nothing in common but the scheduler: each locks a mutex of its own, unlocks it and lets the next one run.
sample apart_from_each_other(int workers) {
  constexpr int for_each_worker = 64;
  constexpr int times = 10'000;
  const auto start = clock::now();
  turnkey::wait_group all;
  for (int i = 0; i < workers * for_each_worker; ++i) {
    all.go([] {
      turnkey::mutex mine;
      for (int k = 0; k < times; ++k) {
        {
          const std::lock_guard hold(mine);
          touch_memory();
        }
        turnkey::this_goroutine::yield();
      }
    });
  }
  all.wait();
  return {for_each_worker * times / nanoseconds_since(start) * 1e3};
}

// One for each worker wants the same mutex, with 18 ns of its own work in between.
template <class Group, class Mutex>
sample one_for_all(int members) {
  const int steps = private_work_steps();
  apart<Mutex> shared;
  return throughput<Group>(members, current_settings().glance, [&](std::uint64_t random) {
    {
      const std::lock_guard hold(shared.value);
      touch_memory();
    }
    return private_work(random, steps);
  });
}

const registration workers([](suite& all) {
  const curve independent{.id = "S13",
                          .title = "64 goroutines a worker lock mutexes of their own and yield",
                          .axis = "workers",
                          .unit = "M/s a worker",
                          .is_more_better = true};
  const curve contended{.id = "S14",
                        .title = "one mutex that a goroutine for each worker wants",
                        .axis = "workers",
                        .unit = "M/s",
                        .is_more_better = true};
  for (int n = 1; n <= std::min(64, static_cast<int>(std::thread::hardware_concurrency())); n *= 2) {
    benchmark alone = point_of(independent, n,
                               {{"turnkey", side::ours, in_a_goroutine([=] { return apart_from_each_other(n); })},
                                go_peer("goroutines", "apart", {n})});
    measure_with_workers(alone, n);
    all.add(std::move(alone));
    benchmark together =
        point_of(contended, n,
                 {{"turnkey::mutex", side::ours, [=] { return one_for_all<turnkey::wait_group, turnkey::mutex>(n); }},
                  {"std::mutex, threads", side::standard, [=] { return one_for_all<thread_group, std::mutex>(n); }},
                  go_peer("sync.Mutex", "section", {0, private_work_steps(), n, current_settings().glance.count()})});
    measure_with_workers(together, n);
    all.add(std::move(together));
  }
});

}  // namespace
