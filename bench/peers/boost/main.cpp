// The contenders that are made of Boost.Fiber: a program of its own, because its work stealing can be set up once in a process
// only. Each run measures one workload, once, after a warm-up of its own:
//
//   boost_peer WORKLOAD PARAMETERS... WORKERS
//   boost_peer version
//
// and prints one line: {"value":14.9,"figures":[]}, in the unit of the benchmark of the same work in turnkey_bench.
//
// With one worker it is Boost's own scheduling, round robin; with several, work_stealing, with workers that sleep when they
// find nothing, as those that do not take the processor from others. Stacks come from malloc, which turnkey_bench tells by its
// tunables to keep them: the workloads that start fibers are three to four times slower otherwise.
#include <unistd.h>

#include <boost/fiber/all.hpp>
#include <boost/version.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
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

// P6: so many fibers at a time.
void start_and_wait(int batch) {
  group all;
  for (int i = 0; i < batch; ++i) all.go([] {});
  all.wait();
}

// P8: so many fibers yield `times` times each.
void yields_among(int fibers, int times) {
  group all;
  for (int i = 0; i < fibers; ++i) {
    all.go([times] {
      for (int k = 0; k < times; ++k) boost::this_fiber::yield();
    });
  }
  all.wait();
}

// P4: so many fibers lock and unlock one mutex `times` times each.
void many_on_one(int fibers, int times) {
  fibers::mutex mu;
  group all;
  for (int i = 0; i < fibers; ++i) {
    all.go([&mu, times] {
      for (int k = 0; k < times; ++k) {
        mu.lock();
        mu.unlock();
      }
    });
  }
  all.wait();
}

// P12: so many fibers add 1 under a mutex.
void count_once(int adders) {
  fibers::mutex mu;
  int counter = 0;
  group all;
  for (int i = 0; i < adders; ++i) {
    all.go([&] {
      const std::scoped_lock hold(mu);
      ++counter;
    });
  }
  all.wait();
  sink = static_cast<std::uint64_t>(counter);
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0;
  double pages = 0;
  file >> size >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// P7: nanoseconds and bytes for each of so many fibers that wait. With stacks of 16 KiB, as more would not fit.
void parked(int fibers) {
  fibers::mutex mu;
  fibers::condition_variable never;
  int waiting = 0;
  const auto start_all = [&](int count) {
    waiting = 0;
    for (int i = 0; i < count; ++i) {
      fibers::fiber(fibers::launch::post, std::allocator_arg, fibers::fixedsize_stack(16 << 10), [&] {
        std::unique_lock hold(mu);
        ++waiting;
        never.wait(hold);
      }).detach();
    }
    while (waiting < count) boost::this_fiber::yield();
  };
  start_all(1000);
  const double before = resident_bytes();
  const auto start = std::chrono::steady_clock::now();
  start_all(fibers);
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("{\"value\":%f,\"figures\":[%f]}\n", elapsed.count() / fibers, (resident_bytes() - before) / fibers);
  std::fflush(stdout);
  _exit(0);  // they cannot end
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
  const int workers_wanted = parameters.empty() ? 1 : parameters.back();
  const auto is = [&](const char* name, std::size_t count) {
    return workload == name && parameters.size() == count + 1;
  };
  const workers all(workers_wanted);
  if (is("ping_pong", 1)) return time_each(parameters[0], ping_pong);
  if (is("buffered", 3)) {
    return time_each(parameters[2], [&](int count) { through_buffer(parameters[0], parameters[1], count); });
  }
  if (is("start", 2)) {
    const auto batches = [&](int count) {
      for (int i = 0; i < count; ++i) start_and_wait(parameters[0]);
    };
    return time_each(parameters[1], batches) / parameters[0];
  }
  if (is("yield", 2)) {
    return time_each(parameters[1], [&](int times) { yields_among(parameters[0], times); }) / parameters[0];
  }
  if (is("mutex_crowd", 3)) {  // in milliseconds, as a whole
    many_on_one(parameters[0], parameters[1]);
    return time_each(1,
                     [&](int times) {
                       if (times > 0) many_on_one(parameters[0], parameters[1]);
                     }) /
           1e6;
  }
  if (is("count", 2)) {  // in microseconds
    const auto counts = [&](int count) {
      for (int i = 0; i < count; ++i) count_once(parameters[0]);
    };
    return time_each(parameters[1], counts) / 1e3;
  }
  if (is("parked", 1)) parked(parameters[0]);
  std::fprintf(stderr, "boost_peer: no workload \"%s\" with %zu parameters\n", workload.c_str(), parameters.size());
  std::_Exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string workload = argc > 1 ? argv[1] : "";
  if (workload == "version") {
    std::printf("{\"versions\":[\"Boost.Fiber %d.%d\"]}\n", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
    return 0;
  }
  std::vector<int> parameters;
  for (int i = 2; i < argc; ++i) parameters.push_back(std::atoi(argv[i]));
  std::printf("{\"value\":%f,\"figures\":[]}\n", measure(workload, parameters));
}
