// P2: what does a read lock cost while nobody writes and nobody else reads?  turnkey, std, Go, abseil, oneTBB, nsync, parking_lot
// P5: how many lookups in a small map get through a reader-writer lock?      the same
// C1: what is it worth that readers go on together?                          turnkey, std, Go: reader-writer lock over mutex
// C2: from which share of reads on does a reader-writer lock pay?            the same
//
// P2 locks for reading and unlocks, in a loop. In the others threads or goroutines look for a fixed time into a map of 1,000
// entries; so many of a hundred calls are lookups under the read lock, the rest give an entry another value under the write
// lock. A mutex has one kind of lock for both. The floors have no lock; a counter of the thread's own, in P2. In C2 there are 8
// of them, and the long critical section works 1,000 ns more.
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "crowd.hpp"
#include "rivals.hpp"

namespace {

using namespace bench;

// ---- P2 ------------------------------------------------------------------------------------------------------------

template <class Mutex>
sample read_lock_and_unlock() {
  static apart<Mutex> mu;
  return {time_each(4'000'000, [] {
    mu.value.lock_shared();
    touch_memory();
    mu.value.unlock_shared();
  })};
}

// A counter of the thread's own, up and down.
struct own_count {
  void lock_shared() { ++count; }
  void unlock_shared() { --count; }
  static inline thread_local std::uint64_t count = 0;
};

const registration uncontended([](suite& all) {
  benchmark one{.id = "P2",
                .question = "a read lock that nobody disputes: lock and unlock",
                .unit = "ns",
                .goals = {{goal::relation::at_most, 0.35, side::standard}},
                .contenders = {{"turnkey::rw_mutex, goroutine", side::ours,
                                [] { return in_goroutine(read_lock_and_unlock<turnkey::rw_mutex>); }},
                               {"turnkey::rw_mutex, thread", side::ours, read_lock_and_unlock<turnkey::rw_mutex>},
                               {"std::shared_mutex", side::standard, read_lock_and_unlock<std::shared_mutex>},
                               go_peer("sync.RWMutex", "rwmutex")}};
  add_rival_rw_mutexes(one, []<class Mutex>() { return read_lock_and_unlock<Mutex>; });
  one.contenders.push_back(rust_peer("parking_lot::RwLock", "rwmutex"));
  one.contenders.push_back({"floor: a counter of one's own", side::floor, read_lock_and_unlock<own_count>});
  all.add(std::move(one));
});

// ---- P5, C1, C2 ----------------------------------------------------------------------------------------------------

constexpr int entries = 1000;

struct workload {
  int reads = 100;  // of a hundred calls
  int members = 1;
  std::chrono::milliseconds duration{0};
  int steps = 0;  // of private_work, in every critical section
};

template <class Mutex>
struct table {
  table() {
    for (int i = 0; i < entries; ++i) all[i] = i;
  }
  Mutex mu;
  std::unordered_map<int, int> all;
};

template <class Group, class Mutex, class ReadLock>
sample lookups(const workload& work) {
  const auto shared = std::make_unique<apart<table<Mutex>>>();
  table<Mutex>& in = shared->value;
  const auto work_on = [&work](std::uint64_t random) { return work.steps > 0 ? private_work(random, work.steps) : 0; };
  return throughput<Group>(work.members, work.duration, [&](std::uint64_t random) -> std::uint64_t {
    const int key = static_cast<int>(index_below(entries, random));
    if (is_one_of_a_thousand(random, static_cast<unsigned>(work.reads) * 10)) {
      const ReadLock hold(in.mu);
      return static_cast<std::uint64_t>(in.all.find(key)->second) + work_on(random);
    }
    const std::scoped_lock hold(in.mu);
    in.all.find(key)->second = static_cast<int>(random >> 40);
    return work_on(random);
  });
}

template <class Group, class Mutex>
contender reading_together(const std::string& name, side from, const workload& work) {
  return {name, from, [=] { return lookups<Group, Mutex, std::shared_lock<Mutex>>(work); }};
}

template <class Group, class Mutex>
contender one_by_one(const std::string& name, side from, const workload& work) {
  return {name, from, [=] { return lookups<Group, Mutex, std::unique_lock<Mutex>>(work); }};
}

contender go_lookups(const std::string& name, const workload& work) {
  return go_peer("sync." + name, "lookups",
                 {name == "RWMutex" ? 1 : 0, work.reads, work.members, work.duration.count(), work.steps});
}

using goroutine_group = turnkey::wait_group;

void add_lookups(suite& all, int reads, int members) {
  const workload work{reads, members, 2 * current_settings().glance};
  const std::string share = std::to_string(reads);
  benchmark one{
      .id = "P5." + share + "." + std::to_string(members),
      .question = "lookups in a map of 1,000 entries, " + share + " % reads, " + std::to_string(members) + " threads",
      .unit = "M/s",
      .is_more_better = true,
      .goals = {{goal::relation::at_least, reads == 100 ? 5.0 : 1.0, side::any_rival}},
      .contenders = {
          reading_together<goroutine_group, turnkey::rw_mutex>("turnkey::rw_mutex, goroutines", side::ours, work),
          reading_together<thread_group, turnkey::rw_mutex>("turnkey::rw_mutex, threads", side::ours, work),
          reading_together<thread_group, std::shared_mutex>("std::shared_mutex", side::standard, work),
          go_lookups("RWMutex", work), go_lookups("Mutex", work)}};
  add_rival_rw_mutexes(one, [=]<class Mutex>() {
    return std::function<sample()>([=] { return lookups<thread_group, Mutex, std::shared_lock<Mutex>>(work); });
  });
  one.contenders.push_back(rust_peer("parking_lot::RwLock", "lookups", {reads, members, work.duration.count()}));
  if (reads == 100)
    one.contenders.push_back(reading_together<thread_group, no_lock>("floor: no lock", side::floor, work));
  all.add(std::move(one));
}

const registration looking_up([](suite& all) {
  for (const int reads : {100, 99, 90, 50}) {
    for (const int members : {2, 8}) add_lookups(all, reads, members);
  }
});

// Both kinds of lock, of everybody who has both.
void add_both_kinds(suite& all, const std::string& id, const std::string& question, const workload& work, point on) {
  all.add(
      {.id = id,
       .question = question,
       .unit = "M/s",
       .is_more_better = true,
       .contenders = {reading_together<goroutine_group, turnkey::rw_mutex>("turnkey::rw_mutex, goroutines", side::ours,
                                                                           work),
                      one_by_one<goroutine_group, turnkey::mutex>("turnkey::mutex, goroutines", side::ours, work),
                      reading_together<thread_group, turnkey::rw_mutex>("turnkey::rw_mutex, threads", side::ours, work),
                      one_by_one<thread_group, turnkey::mutex>("turnkey::mutex, threads", side::ours, work),
                      reading_together<thread_group, std::shared_mutex>("std::shared_mutex", side::standard, work),
                      one_by_one<thread_group, std::mutex>("std::mutex", side::standard, work),
                      go_lookups("RWMutex", work), go_lookups("Mutex", work)},
       .on = std::move(on),
       .comparisons = {{"turnkey, goroutines", "turnkey::rw_mutex, goroutines", "turnkey::mutex, goroutines"},
                       {"turnkey, threads", "turnkey::rw_mutex, threads", "turnkey::mutex, threads"},
                       {"std", "std::shared_mutex", "std::mutex"},
                       {"Go", "sync.RWMutex (Go)", "sync.Mutex (Go)"}}});
}

const registration readers_together([](suite& all) {
  for (const int reads : {100, 99, 90, 50}) {
    const std::string share = std::to_string(reads);
    for (const int members : {1, 2, 4, 8, 64}) {
      add_both_kinds(all, "C1." + share + "." + std::to_string(members),
                     "reader-writer lock or mutex, " + share + " % reads: " + std::to_string(members) +
                         (members == 1 ? " thread" : " threads"),
                     {reads, members, current_settings().glance},
                     {"C1: lookups, " + share + " % reads", "threads or goroutines", static_cast<double>(members)});
    }
  }
});

const registration crossover([](suite& all) {
  constexpr int members = 8;
  for (const std::string length : {"short", "long"}) {
    const int steps = length == "long" ? private_work_steps(1000) : 0;
    for (const int reads : {0, 50, 80, 90, 95, 99, 100}) {
      add_both_kinds(
          all, "C2." + length + "." + std::to_string(reads),
          "reader-writer lock or mutex, " + length + " critical sections: " + std::to_string(reads) + " % reads",
          {reads, members, current_settings().glance, steps},
          {"C2: lookups by 8, " + length + " critical sections", "% reads", static_cast<double>(reads)});
    }
  }
});

}  // namespace
