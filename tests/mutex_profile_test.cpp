// The contention profile: what is charged, to whom, and that what is written can be read. The numbers are read back by a
// reader of its own, tests/pprof_read.py, which shares no code with the writer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <turnkey/diagnostics.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "diagnostics/pprof.hpp"
#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

struct sample {
  std::int64_t contentions = 0;
  nanoseconds delay{0};
  std::string addresses;
  std::vector<std::string> stack;  // innermost first
};

// What `command` prints, and its status.
std::string output_of(const std::string& command, int& status) {
  std::string text;
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::array<char, 4096> part{};
  while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), size);
  status = pclose(pipe);
  return text;
}

std::string read_profile(const std::string& path, const std::string& what) {
  int status = 0;
  std::string text = output_of("python3 " TURNKEY_TESTS_DIR "/pprof_read.py " + what + " " + path + " 2>&1", status);
  EXPECT_EQ(status, 0) << text;
  return text;
}

std::string a_path(const std::string& name) {
  return ::testing::TempDir() + name + '.' + std::to_string(getpid()) + ".pb.gz";
}

// The samples whose stack goes through a function of that name.
std::vector<sample> samples_through(const std::string& function) {
  const std::string path = a_path("mutex_profile");
  EXPECT_TRUE(turnkey::diagnostics::write_mutex_profile(path));
  std::vector<sample> found;
  std::istringstream lines(read_profile(path, "samples"));
  for (std::string line; std::getline(lines, line);) {
    if (line.find(function) == line.npos) continue;
    sample one;
    std::int64_t delay = 0;
    std::istringstream fields(line);
    fields >> one.contentions >> delay >> one.addresses >> std::ws;
    one.delay = nanoseconds(delay);
    for (std::string name; std::getline(fields, name, '\t');) one.stack.push_back(name);
    found.push_back(one);
  }
  std::filesystem::remove(path);
  return found;
}

// What body() adds to those samples.
std::vector<sample> charged(const std::string& function, const std::function<void()>& body) {
  const std::vector<sample> before = samples_through(function);
  body();
  std::vector<sample> added;
  for (sample now : samples_through(function)) {
    for (const sample& was : before) {
      if (was.addresses != now.addresses) continue;
      now.contentions -= was.contentions;
      now.delay -= was.delay;
    }
    if (now.contentions != 0) added.push_back(now);
  }
  return added;
}

nanoseconds delay_of(const std::vector<sample>& samples) {
  nanoseconds sum{0};
  for (const sample& s : samples) sum += s.delay;
  return sum;
}

// A rate for as long as it lives.
class recording {
 public:
  explicit recording(int rate) : before_(turnkey::diagnostics::set_mutex_profile_fraction(rate)) {}
  recording(const recording&) = delete;
  recording& operator=(const recording&) = delete;
  ~recording() { turnkey::diagnostics::set_mutex_profile_fraction(before_); }

 private:
  int before_;
};

// `count` others call work() and come to wait; then it holds on for `hold`, and unlocks. How long they have waited each:
// at least `hold`, at most what is returned.
nanoseconds hold_up(const support::stage& where, int count, nanoseconds hold, const std::function<void()>& work,
                    const std::function<void()>& unlock) {
  const auto start = steady_clock::now();
  std::vector<support::watched> others(static_cast<std::size_t>(count));
  {
    support::crew crew(where);
    for (support::watched& other : others) {
      crew.start([&] {
        other.enter();
        work();
        other.leave();
      });
    }
    for (const support::watched& other : others) EXPECT_TRUE(other.comes_to_wait());
    const auto end = steady_clock::now() + hold;
    while (steady_clock::now() < end) turnkey::this_goroutine::sleep_for(1ms);
    unlock();
  }
  return steady_clock::now() - start;
}

template <class Mutex>
[[gnu::noinline]] void unlock_here(Mutex& mu) {
  mu.unlock();
  asm volatile("# unlock_here");  // no tail call, and no other body like it: its name is to be in the stack
}
[[gnu::noinline]] void unlock_for_readers(turnkey::rw_mutex& mu) {
  mu.unlock();
  asm volatile("# unlock_for_readers");
}
[[gnu::noinline]] void unlock_shared_here(turnkey::rw_mutex& mu) {
  mu.unlock_shared();
  asm volatile("# unlock_shared_here");
}
[[gnu::noinline]] void unlock_in_two_threads(turnkey::mutex& mu) {
  mu.unlock();
  asm volatile("# unlock_in_two_threads");
}
[[gnu::noinline]] void unlock_unrecorded(turnkey::mutex& mu) {
  mu.unlock();
  asm volatile("# unlock_unrecorded");
}
[[gnu::noinline]] void unlock_sampled(turnkey::mutex& mu) {
  mu.unlock();
  asm volatile("# unlock_sampled");
}

// Only how those that were started get out of it again; its own unlocks are charged as well, to other stacks.
template <class Mutex>
void pass(Mutex& mu) {
  mu.lock();
  mu.unlock();
}

TEST(MutexProfile, ChargesTheUnlockerWithWhatAllThatWaitHaveWaited) {
  const recording on(1);
  constexpr int waiters = 10;
  for (const support::stage& where : support::typical_stages) {
    nanoseconds wall{0};
    const auto found = charged("unlock_here", [&] {
      support::perform(where, [&](const support::stage&) {
        turnkey::mutex mu;
        mu.lock();
        wall = hold_up(
            where, waiters, 20ms, [&] { pass(mu); }, [&] { unlock_here(mu); });
      });
    });
    ASSERT_EQ(found.size(), 1u) << where;
    EXPECT_EQ(found[0].contentions, 1) << where;
    EXPECT_GE(found[0].delay, waiters * nanoseconds(20ms)) << where;
    EXPECT_LE(found[0].delay, waiters * wall) << where;
    ASSERT_GE(found[0].stack.size(), 2u);
    EXPECT_EQ(found[0].stack[0], "turnkey::mutex::unlock()");
    EXPECT_NE(found[0].stack[1].find("unlock_here"), std::string::npos) << found[0].stack[1];
  }
}

// Each of the waiters, too, has the mutex for a while; what the others have waited until then was charged before.
TEST(MutexProfile, ChargesNoWaitTwice) {
  const recording on(1);
  constexpr int waiters = 8;
  turnkey::mutex mu;
  nanoseconds wall{0};
  const auto found = charged("ChargesNoWaitTwice", [&] {
    mu.lock();
    wall = hold_up(
        support::stage{support::company::both, 2, false}, waiters, 10ms,
        [&] {
          mu.lock();
          std::this_thread::sleep_for(5ms);
          mu.unlock();
        },
        [&] { mu.unlock(); });
  });
  // The first waits for 10 ms, the next for 15, and so on.
  EXPECT_GE(delay_of(found), waiters * nanoseconds(10ms) + waiters * (waiters - 1) / 2 * nanoseconds(5ms) * 9 / 10);
  EXPECT_LE(delay_of(found), waiters * wall);
}

// One that gives up was charged for as long as it waited, and its place in the queue makes nobody else's wait count twice.
TEST(MutexProfile, ChargesNoWaitTwiceWhenTheFirstInLineGivesUp) {
  const recording on(1);
  turnkey::mutex mu;
  nanoseconds wall{0};
  const auto found = charged("WhenTheFirstInLineGivesUp", [&] {
    const auto start = steady_clock::now();
    support::watched first;
    support::watched second;
    support::watched third;
    mu.lock();
    std::vector<std::thread> threads;
    const auto start_one = [&](support::watched& one, std::chrono::milliseconds limit, bool holds_on) {
      threads.emplace_back([&mu, &one, limit, holds_on] {
        one.enter();
        const bool has_it = mu.try_lock_for(limit);
        one.leave();
        if (!has_it) return;
        if (holds_on) std::this_thread::sleep_for(60ms);
        mu.unlock();
      });
      EXPECT_TRUE(one.comes_to_wait());
    };
    start_one(first, 1h, true);
    start_one(second, 1h, false);
    start_one(third, 1h, false);
    std::this_thread::sleep_for(10ms);
    mu.unlock();
    for (std::thread& thread : threads) thread.join();
    wall = steady_clock::now() - start;
  });
  EXPECT_GE(delay_of(found), 3 * nanoseconds(10ms) + 2 * nanoseconds(50ms));
  EXPECT_LE(delay_of(found), 3 * wall);
}

TEST(MutexProfile, ChargesAWriterForTheReadersThatItLetsIn) {
  const recording on(1);
  turnkey::rw_mutex mu;
  nanoseconds wall{0};
  const auto found = charged("unlock_for_readers", [&] {
    mu.lock();
    wall = hold_up(
        support::stage{support::company::both, 2, false}, 6, 20ms, [&] { std::shared_lock hold(mu); },
        [&] { unlock_for_readers(mu); });
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].contentions, 1);
  EXPECT_GE(found[0].delay, 6 * nanoseconds(20ms));
  EXPECT_LE(found[0].delay, 6 * wall);
  EXPECT_EQ(found[0].stack[0], "turnkey::rw_mutex::unlock()");
}

TEST(MutexProfile, ChargesTheLastReader) {
  const recording on(1);
  turnkey::rw_mutex mu;
  nanoseconds wall{0};
  const auto found = charged("unlock_shared_here", [&] {
    mu.lock_shared();
    mu.lock_shared();
    wall = hold_up(
        support::stage{support::company::both, 2, false}, 4, 20ms, [&] { pass(mu); },
        [&] {
          mu.unlock_shared();
          unlock_shared_here(mu);
        });
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].contentions, 1);
  EXPECT_GE(found[0].delay, 4 * nanoseconds(20ms));
  EXPECT_LE(found[0].delay, 4 * wall);
  EXPECT_NE(found[0].stack[0].find("unlock_shared"), std::string::npos) << found[0].stack[0];
  EXPECT_NE(found[0].stack[1].find("unlock_shared_here"), std::string::npos) << found[0].stack[1];
}

// One waiter comes, and body() unlocks.
void contend(turnkey::mutex& mu, const std::function<void()>& unlock) {
  mu.lock();
  hold_up(
      support::stage{support::company::threads, 0, false}, 1, 0ms, [&] { pass(mu); }, unlock);
}

TEST(MutexProfile, CountsOneStackOnceWhoeverTheThreadIs) {
  const recording on(1);
  turnkey::mutex mu;
  const auto found = charged("unlock_in_two_threads", [&] {
    for (int i = 0; i < 4; ++i) {
      std::thread([&] { contend(mu, [&] { unlock_in_two_threads(mu); }); }).join();
    }
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].contentions, 4);
}

TEST(MutexProfile, RecordsNothingUnlessItIsAskedTo) {
  turnkey::mutex mu;
  EXPECT_TRUE(charged("unlock_unrecorded", [&] { contend(mu, [&] { unlock_unrecorded(mu); }); }).empty());
}

TEST(MutexProfile, ReturnsTheRateBefore) {
  using turnkey::diagnostics::set_mutex_profile_fraction;
  EXPECT_EQ(set_mutex_profile_fraction(-1), 0);
  EXPECT_EQ(set_mutex_profile_fraction(7), 0);
  EXPECT_EQ(set_mutex_profile_fraction(-1), 7);
  EXPECT_EQ(set_mutex_profile_fraction(0), 7);
  EXPECT_EQ(set_mutex_profile_fraction(-1), 0);
}

TEST(MutexProfile, CountsASampledContentionRateTimes) {
  const recording on(3);
  turnkey::mutex mu;
  constexpr int rounds = 60;
  const auto found = charged("unlock_sampled", [&] {
    for (int i = 0; i < rounds; ++i) contend(mu, [&] { unlock_sampled(mu); });
  });
  ASSERT_EQ(found.size(), 1u);  // none of 60 with a chance of 1/3 each: one in 10^10
  EXPECT_EQ(found[0].contentions % 3, 0);
  EXPECT_LT(found[0].contentions, 3 * rounds);
}

// As many stacks as there are numbers of `depth` bits.
template <int Bit>
[[gnu::noinline]] void unlock_by_another_way(turnkey::mutex& mu, unsigned way, int depth) {
  if (depth == 0) {
    mu.unlock();
  } else if ((way & 1) != 0) {
    unlock_by_another_way<1>(mu, way >> 1, depth - 1);
  } else {
    unlock_by_another_way<0>(mu, way >> 1, depth - 1);
  }
  asm volatile("" ::"i"(Bit));  // no tail calls, and not the same code
}

TEST(MutexProfile, CountsStacksThatFindNoRoomWithoutThem) {
  const recording on(1);
  turnkey::mutex mu;
  const auto found = charged("[no room for more stacks]", [&] {
    // There is room for 4096.
    for (unsigned way = 0; way < 4200; ++way) {
      mu.lock();
      hold_up(
          support::stage{support::company::goroutines, 2, false}, 1, 0ms, [&] { pass(mu); },
          [&] { unlock_by_another_way<0>(mu, way, 13); });
    }
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_GE(found[0].contentions, 4200 - 4096);
}

TEST(MutexProfile, SaysWhatItIsToWhoReadsIt) {
  const std::string path = a_path("header");
  ASSERT_TRUE(turnkey::diagnostics::write_mutex_profile(path));
  const std::string header = read_profile(path, "header");
  std::filesystem::remove(path);
  EXPECT_NE(header.find("sample_type contentions/count delay/nanoseconds\nperiod_type contentions/count 1\n"),
            std::string::npos)
      << header;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  EXPECT_NE(header.find("mapping 1 " + program), std::string::npos) << header;
}

TEST(MutexProfile, SaysSoWhenTheFileCannotBeWritten) {
  EXPECT_FALSE(turnkey::diagnostics::write_mutex_profile("/nonexistent/folder/profile.pb.gz"));
  EXPECT_FALSE(turnkey::diagnostics::write_mutex_profile("/dev/full"));
}

TEST(Pprof, GzipsWhatNeedsManyBlocksAndWhatIsEmpty) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{0xffff}, std::size_t{200'000}}) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * i >> 3);
    const std::string path = a_path("gzip");
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    const std::string packed = turnkey::diagnostics::gzip(content);
    std::fwrite(packed.data(), 1, packed.size(), file);
    std::fclose(file);
    int status = 0;
    const std::string unpacked = output_of("gzip -dc <" + path, status);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(unpacked == content) << size;
    std::filesystem::remove(path);
  }
}

}  // namespace
