// C3: what are small critical sections worth?          turnkey, std, Go
//
// Eight threads or goroutines work 1,000 ns for each operation, of which so many under one mutex. What they get done together
// depends on nothing but how much of it that is.
#include <mutex>

#include "crowd.hpp"

namespace {

using namespace bench;

constexpr int members = 8;
constexpr int whole = 1000;  // nanoseconds

template <class Group, class Mutex>
sample operations(int inside, int outside) {
  apart<Mutex> shared;
  return throughput<Group>(members, current_settings().glance, [&](std::uint64_t random) {
    std::uint64_t result = 0;
    {
      const std::scoped_lock hold(shared.value);
      result = private_work(random, inside);
    }
    return private_work(result, outside);
  });
}

const registration sections([](suite& all) {
  for (const int length : {10, 50, 100, 250, 500, 1000}) {
    const int inside = private_work_steps(length);
    const int outside = length < whole ? private_work_steps(whole - length) : 0;
    all.add({.id = "C3." + std::to_string(length),
             .question = "8 work 1,000 ns an operation, " + std::to_string(length) + " ns of them under a mutex",
             .unit = "M/s",
             .is_more_better = true,
             .contenders = {{"turnkey::mutex, goroutines", side::ours,
                             [=] { return operations<turnkey::wait_group, turnkey::mutex>(inside, outside); }},
                            {"turnkey::mutex, threads", side::ours,
                             [=] { return operations<thread_group, turnkey::mutex>(inside, outside); }},
                            {"std::mutex", side::standard,
                             [=] { return operations<thread_group, std::mutex>(inside, outside); }},
                            go_peer("sync.Mutex", "section",
                                    {inside, outside, members, current_settings().glance.count()})},
             .on = point{"C3: 1,000 ns an operation, some of them under a mutex", "ns under the mutex",
                         static_cast<double>(length)}});
  }
});

}  // namespace
