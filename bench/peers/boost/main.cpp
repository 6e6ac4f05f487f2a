// The contenders that are made of Boost.Fiber: a program of its own, because its work stealing can be set up once in a process
// only. Each run measures one workload, once, after a warm-up of its own:
//
//   boost_peer WORKLOAD PARAMETERS... WORKERS
//
// and prints one line: {"value":14.9,"figures":[]}, in the unit of the benchmark of the same work in turnkey_bench.
//
// With one worker it is Boost's own scheduling, round robin; with several, work_stealing, with workers that sleep when they
// find nothing, as those that do not take the processor from others. All fibers are there before the first value goes, so
// it does not matter where their stacks come from.
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fibers = boost::fibers;

// The calling thread, and others, share fibers until it goes. One a process.
class workers {
 public:
  explicit workers(int count) {
    if (count == 1) return;
    // A scheduler is made when all of them are: the others first, then this one, which waits for them.
    for (int i = 1; i < count; ++i) {
      others_.emplace_back([this, count] {
        schedule(count);
        std::unique_lock hold(mu_);
        changed_.wait(hold, [this] { return is_over_; });
      });
    }
    schedule(count);
  }
  ~workers() {
    {
      const std::scoped_lock hold(mu_);
      is_over_ = true;
    }
    changed_.notify_all();
    for (std::thread& each : others_) each.join();
  }
  workers(const workers&) = delete;
  workers& operator=(const workers&) = delete;

 private:
  static void schedule(int count) {
    constexpr bool may_sleep = true;
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(static_cast<std::uint32_t>(count), may_sleep);
  }

  fibers::mutex mu_;
  fibers::condition_variable changed_;
  bool is_over_ = false;
  std::vector<std::thread> others_;
};

// Fibers, and an end of them all.
class group {
 public:
  template <class F>
  void go(F f) {
    all_.emplace_back(fibers::launch::post, std::move(f));
  }
  void wait() {
    for (fibers::fiber& each : all_) each.join();
  }

 private:
  std::vector<fibers::fiber> all_;
};

volatile std::uint64_t sink = 0;

// P9: `count` round trips.
void ping_pong(int count) {
  fibers::unbuffered_channel<int> there;
  fibers::unbuffered_channel<int> back;
  group both;
  both.go([&] {
    for (int i = 0; i < count; ++i) {
      int v = 0;
      there.push(i);
      back.pop(v);
    }
  });
  both.go([&] {
    for (int i = 0; i < count; ++i) {
      int v = 0;
      there.pop(v);
      back.push(v);
    }
  });
  both.wait();
}

// P10: `count` elements from so many producers to as many consumers.
void through_buffer(int capacity, int pairs, int count) {
  // Boost's sizes are powers of two, and one place stays empty.
  std::size_t size = 2;
  while (size <= static_cast<std::size_t>(capacity)) size *= 2;
  fibers::buffered_channel<int> buffer(size);
  group all;
  for (int i = 0; i < pairs; ++i) {
    all.go([&buffer, each = count / pairs] {
      for (int k = 0; k < each; ++k) buffer.push(k);
    });
    all.go([&buffer, each = count / pairs] {
      std::uint64_t sum = 0;
      for (int k = 0; k < each; ++k) {
        int v = 0;
        buffer.pop(v);
        sum += static_cast<std::uint64_t>(v);
      }
      sink = sum;
    });
  }
  all.wait();
}

// Nanoseconds for each of `count`.
template <class F>
double time_each(int count, F work) {
  work(count / 10);
  const auto start = std::chrono::steady_clock::now();
  work(count);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / count;
}

double measure(const std::string& workload, const std::vector<int>& parameters) {
  if (workload == "ping_pong" && parameters.size() == 2) {
    const workers all(parameters[1]);
    return time_each(parameters[0], ping_pong);
  }
  if (workload == "buffered" && parameters.size() == 4) {
    const workers all(parameters[3]);
    return time_each(parameters[2], [&](int count) { through_buffer(parameters[0], parameters[1], count); });
  }
  std::fprintf(stderr, "usage: boost_peer ping_pong COUNT WORKERS | buffered CAPACITY PAIRS COUNT WORKERS\n");
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> parameters;
  for (int i = 2; i < argc; ++i) parameters.push_back(std::atoi(argv[i]));
  std::printf("{\"value\":%f,\"figures\":[]}\n", measure(argc > 1 ? argv[1] : "", parameters));
}
