// P3: one mutex that everybody wants: how much gets through, is it shared out fairly, how long may one have to wait?
//
// turnkey::mutex with threads and with goroutines, Go's sync.Mutex with goroutines, those of std, abseil, oneTBB, nsync and
// parking_lot with threads; 1, 2, 4, 8 and 64 of them. Each locks, adds 1, unlocks and works 18 ns on its own, for a fixed
// time. Throughput, what the least served got in comparison with the most served, and the longest wait stand side by side:
// each is easy to have alone. The floor is the same threads without any mutex: they, too, are not served alike, and wait for a CPU.
//
// The longest wait is known in two ways, and the longer one counts. Every 64th call is timed; not all of them, because
// the clock costs as much as the lock. And everybody sees how many others were served since his own last turn, which
// misses nobody, not even him who is never served again; at the throughput measured, that many take so long. The other
// percentiles of the wait are of the timed calls only; they are exact to an eighth, and the clock itself is in them.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>
#include <type_traits>
#include <vector>

#include "rivals.hpp"

namespace {

using namespace bench;

enum phase : int { warming_up, measuring, over };

// Counts waits in bins that are an eighth of a power of two wide, from a nanosecond to some minutes.
constexpr std::size_t bins = std::size_t{8} * 40;

std::size_t bin_of(std::int64_t nanoseconds) {
  const auto wait = static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 1));
  const auto power = static_cast<std::size_t>(std::bit_width(wait)) - 1;
  const std::uint64_t eighth = power >= 3 ? (wait >> (power - 3)) & 7 : (wait << (3 - power)) & 7;
  return std::min(power * 8 + static_cast<std::size_t>(eighth), bins - 1);
}

// In the middle of the bin.
double microseconds_of(std::size_t bin) {
  return std::ldexp(1 + (static_cast<double>(bin % 8) + 0.5) / 8, static_cast<int>(bin / 8)) / 1e3;
}

// What one contender did. On lines of its own; only it writes there.
struct place {
  std::atomic<std::uint64_t> served{0};
  std::atomic<std::uint64_t> last_turn{0};    // what the shared count was then
  std::atomic<std::uint64_t> overtaken{0};    // the most turns of others between two of its own, while measuring
  std::atomic<std::int64_t> longest_wait{0};  // nanoseconds, of the calls that were timed while measuring
  std::array<std::atomic<std::uint32_t>, bins> waits{};  // the same calls
};

template <class T>
void raise(std::atomic<T>& highest, T value) {
  if (value > highest.load(std::memory_order_relaxed)) highest.store(value, std::memory_order_relaxed);
}

// What look() saw when the time that counts began and when it ended, and the nanoseconds in between. Called by a thread of its own,
// while the contenders are at it, who do as `now` says.
template <class Look>
struct period {
  std::invoke_result_t<Look> first;
  std::invoke_result_t<Look> last;
  double elapsed;

  period(std::atomic<int>& now, Look look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    first = look();
    const auto start = clock::now();
    now.store(measuring, std::memory_order_relaxed);
    std::this_thread::sleep_for(current_settings().duration);
    last = look();
    elapsed = nanoseconds_since(start);
    now.store(over, std::memory_order_relaxed);
  }
};

// How often each of the contenders was served.
using counts = std::vector<std::uint64_t>;

template <class Place>
counts count(const std::vector<apart<Place>>& places) {
  counts all;
  for (const auto& each : places) all.push_back(each.value.served.load(std::memory_order_relaxed));
  return all;
}

double least_of_most(const counts& first, counts last) {
  std::transform(last.begin(), last.end(), first.begin(), last.begin(), std::minus<>());
  const auto [least, most] = std::minmax_element(last.begin(), last.end());
  return static_cast<double>(*least) / static_cast<double>(*most);
}

template <class Mutex>
class arena {
 public:
  explicit arena(int contenders) : places_(static_cast<std::size_t>(contenders)) {}

  void contend(int index) {
    const int steps = private_work_steps();
    place& mine = places_[static_cast<std::size_t>(index)].value;
    auto seed = static_cast<std::uint64_t>(index);
    std::uint64_t served = 0;
    std::uint64_t last_turn = 0;
    int before = warming_up;
    for (int now = warming_up; now != over; now = now_.value.load(std::memory_order_relaxed)) {
      const bool is_timed = ++served % 64 == 0;
      const auto asked = is_timed ? clock::now() : clock::time_point();
      shared_.value.mu.lock();
      const auto waited = is_timed ? clock::now() - asked : clock::duration(0);
      const std::uint64_t turn = shared_.value.turns.load(std::memory_order_relaxed) + 1;
      shared_.value.turns.store(turn, std::memory_order_relaxed);
      shared_.value.mu.unlock();
      if (now == measuring && is_timed) {
        raise(mine.longest_wait, std::int64_t{waited.count()});
        std::atomic<std::uint32_t>& bin = mine.waits[bin_of(waited.count())];
        bin.store(bin.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      }
      if (before == measuring) raise(mine.overtaken, turn - last_turn - 1);
      before = now;
      last_turn = turn;
      mine.last_turn.store(turn, std::memory_order_relaxed);
      mine.served.store(served, std::memory_order_relaxed);
      seed = private_work(seed, steps);
    }
    keep(seed);
  }

  sample watch() {
    struct view {
      counts served;
      std::uint64_t turns;
    };
    const period seen(now_.value, [this] {
      return view{count(places_), shared_.value.turns.load(std::memory_order_relaxed)};
    });
    const double turns = static_cast<double>(seen.last.turns - seen.first.turns);
    double longest = 0;
    for (const auto& [each] : places_) {
      // He who was still waiting at the end has waited since his last turn, or since we began to look.
      const std::uint64_t since = std::max(each.last_turn.load(std::memory_order_relaxed), seen.first.turns);
      const std::uint64_t in_progress = since < seen.last.turns ? seen.last.turns - since : 0;
      const std::uint64_t overtaken = std::max(each.overtaken.load(std::memory_order_relaxed), in_progress);
      longest = std::max({longest, static_cast<double>(each.longest_wait.load(std::memory_order_relaxed)),
                          static_cast<double>(overtaken) * seen.elapsed / turns});
    }
    return {turns / seen.elapsed * 1e3,
            {least_of_most(seen.first.served, seen.last.served), wait_of(0.5), wait_of(0.99), wait_of(0.999),
             longest / 1e6}};
  }

 private:
  struct guarded_count {
    Mutex mu;
    std::atomic<std::uint64_t> turns{0};  // guarded by mu; atomic only because watch() reads it from outside
  };

  // Microseconds that the part `share` of the timed calls waited less.
  double wait_of(double share) const {
    std::array<std::uint64_t, bins> timed{};
    std::uint64_t all = 0;
    for (const auto& each : places_) {
      for (std::size_t bin = 0; bin < bins; ++bin) {
        const std::uint64_t waits = each.value.waits[bin].load(std::memory_order_relaxed);
        timed[bin] += waits;
        all += waits;
      }
    }
    std::size_t bin = 0;
    for (auto below = static_cast<double>(timed[0]); bin + 1 < bins && below < share * static_cast<double>(all);) {
      below += static_cast<double>(timed[++bin]);
    }
    return microseconds_of(bin);
  }

  apart<guarded_count> shared_;
  apart<std::atomic<int>> now_;
  std::vector<apart<place>> places_;
};

template <class Mutex>
sample among_threads(int contenders) {
  arena<Mutex> ring(contenders);
  std::vector<std::thread> threads;
  for (int i = 0; i < contenders; ++i) {
    threads.emplace_back([&ring, i] {
      pin_thread(i);
      ring.contend(i);
    });
  }
  sample seen = ring.watch();
  for (std::thread& each : threads) each.join();
  return seen;
}

sample among_goroutines(int contenders) {
  arena<turnkey::mutex> ring(contenders);
  turnkey::wait_group all;
  for (int i = 0; i < contenders; ++i) all.go(&arena<turnkey::mutex>::contend, &ring, i);
  sample seen = ring.watch();
  all.wait();
  return seen;
}

// The same threads without a mutex, each with a count of its own: what the kernel's share-out of the CPUs alone does to the least
// served, and for how long it lets one wait.
sample among_threads_alone(int contenders) {
  struct spot {
    std::atomic<std::uint64_t> served{0};
    std::atomic<std::int64_t> longest_gap{0};  // nanoseconds, while measuring
  };
  std::vector<apart<spot>> places(static_cast<std::size_t>(contenders));
  apart<std::atomic<int>> now{};
  std::vector<std::thread> threads;
  for (int i = 0; i < contenders; ++i) {
    threads.emplace_back([&, i] {
      pin_thread(i);
      const int steps = private_work_steps();
      spot& mine = places[static_cast<std::size_t>(i)].value;
      auto seed = static_cast<std::uint64_t>(i);
      std::uint64_t served = 0;
      auto last = clock::now();
      for (int stage = warming_up; stage != over; stage = now.value.load(std::memory_order_relaxed)) {
        if (++served % 64 == 0) {
          const auto here = clock::now();
          if (stage == measuring) raise(mine.longest_gap, std::int64_t{(here - last).count()});
          last = here;
        }
        mine.served.store(served, std::memory_order_relaxed);
        seed = private_work(seed, steps);
      }
      keep(seed);
    });
  }
  const period seen(now.value, [&] { return count(places); });
  for (std::thread& each : threads) each.join();

  std::int64_t longest = 0;
  for (const auto& [each] : places) longest = std::max(longest, each.longest_gap.load(std::memory_order_relaxed));
  const auto sum = [](const counts& all) { return std::accumulate(all.begin(), all.end(), std::uint64_t{0}); };
  return {static_cast<double>(sum(seen.last) - sum(seen.first)) / seen.elapsed * 1e3,
          {least_of_most(seen.first, seen.last), 0, 0, 0, static_cast<double>(longest) / 1e6}};
}

void add_contention(suite& all, int contenders, std::vector<goal> goals) {
  benchmark one{
      .id = "P3." + std::to_string(contenders),
      .question = "one mutex, " + std::to_string(contenders) + (contenders == 1 ? " contender" : " contenders") +
                  ", 18 ns of private work in between",
      .unit = "M/s",
      .is_more_better = true,
      .figure_names = {"least/most", "wait p50 us", "wait p99 us", "wait p99.9 us", "longest wait ms"},
      .goals = std::move(goals),
      .contenders = {{"turnkey::mutex, goroutines", side::ours, [=] { return among_goroutines(contenders); }},
                     {"turnkey::mutex, threads", side::ours, [=] { return among_threads<turnkey::mutex>(contenders); }},
                     {"std::mutex", side::standard, [=] { return among_threads<std::mutex>(contenders); }},
                     go_peer("sync.Mutex", "contention",
                             {contenders, current_settings().duration.count(), private_work_steps()})},
      .on = point{"P3: one mutex that everybody wants", "contenders", static_cast<double>(contenders)}};
  add_rival_mutexes(
      one, [=]<class Mutex>() { return std::function<sample()>([=] { return among_threads<Mutex>(contenders); }); });
  one.contenders.push_back(rust_peer("parking_lot::Mutex", "contention",
                                     {contenders, current_settings().duration.count(), private_work_steps()}));
  one.contenders.push_back({"floor: no mutex, threads", side::floor, [=] { return among_threads_alone(contenders); }});
  all.add(std::move(one));
}

const registration contention([](suite& all) {
  using enum goal::relation;
  const goal waits{at_most, 10, side::ours, "longest wait ms"};
  for (const int contenders : {1, 2, 4}) add_contention(all, contenders, {});
  add_contention(all, 8, {{at_least, 2.2, side::standard}, {at_least, 0.8, side::ours, "least/most"}, waits});
  add_contention(all, 64, {{at_least, 2.5, side::standard}, {at_least, 0.5, side::ours, "least/most"}, waits});
});

}  // namespace
