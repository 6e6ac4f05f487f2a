// C4: correctness against throughput, and how to avoid the choice. The same work, a number that all read and some change,
// behind five things that make it right.
//
// In Go: sync.Mutex, sync.RWMutex, atomic.Int64, atomic.Pointer and sync.Map.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <turnkey/turnkey.hpp>
#include <vector>

namespace {

using namespace std::chrono_literals;
constexpr int threads = 4;

// Operations a second, in millions, of all threads; `writes` of each thousand change the number. Checks that none got lost.
template <class Number>
double speed(int writes) {
  Number number;
  std::atomic<bool> is_over{false};
  std::atomic<long> operations{0};
  std::atomic<long> written{0};
  std::vector<std::thread> all;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&] {
      long done = 0;
      long changed = 0;
      long seen = 0;
      while (!is_over.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 1000; ++i, ++done) {
          if (i * writes / 1000 != (i + 1) * writes / 1000) {
            number.add_one();
            ++changed;
          } else {
            seen = std::max(seen, number.read());
          }
        }
      }
      operations += done;
      written += changed;
    });
  }
  std::this_thread::sleep_for(80ms);
  is_over = true;
  for (auto& each : all) each.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (number.read() != written) std::printf("lost: %ld of %ld\n", written - number.read(), written.load());
  return static_cast<double>(operations) / took.count() / 1e6;
}

template <class Mutex>
struct locked {
  turnkey::guarded<long, Mutex> value{0};
  void add_one() {
    value.with([](long& n) { ++n; });
  }
  [[nodiscard]] long read() const { return value.load(); }
};
struct counted {
  turnkey::counter value;
  void add_one() { ++value; }
  [[nodiscard]] long read() const { return value.load(); }
};
struct published {
  turnkey::snapshot<long> value{0};
  void add_one() {
    value.update([](long& n) { ++n; });
  }
  [[nodiscard]] long read() const { return *value.load(); }
};
struct mapped {
  turnkey::concurrent_map<int, long> value;
  void add_one() {
    value.update(1, [](std::optional<long>& n) { n = n.value_or(0) + 1; });
  }
  [[nodiscard]] long read() const { return value.load(1).value_or(0); }
};

template <class Number>
void row(const char* name) {
  std::printf("%-24s", name);
  for (const int writes : {1000, 100, 1}) std::printf(" %10.1f", speed<Number>(writes));
  std::printf("\n");
}

}  // namespace

int main() {
  std::printf("million operations a second, %d threads, by share of writes:\n%-24s %10s %10s %10s\n", threads, "",
              "100 %", "10 %", "0.1 %");
  row<locked<turnkey::mutex>>("mutex");
  row<locked<turnkey::rw_mutex>>("rw_mutex");
  row<counted>("counter");
  row<published>("snapshot");
  row<mapped>("concurrent_map");
}
