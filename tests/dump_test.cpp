// diagnostics::dump, and what is under it: stacks of goroutines that are off the CPU, and of threads.
#include <turnkey/turnkey.hpp>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "matches.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/thread.hpp"
#include "platform/thread_stack.hpp"
#include "support.hpp"

namespace {

using support::matches;

using namespace std::chrono_literals;

std::string dump() {
  std::ostringstream text;
  turnkey::diagnostics::dump(text);
  return text.str();
}

// Looks until it is so.
std::string dump_until(const std::string& pattern) {
  std::string text;
  const std::regex wanted(pattern, std::regex::multiline);
  for (int i = 0; i < 500; ++i) {
    text = dump();
    if (std::regex_search(text, wanted)) break;
    std::this_thread::sleep_for(10ms);
  }
  return text;
}

[[gnu::noinline]] void receives(turnkey::chan<int> from) {
  static_cast<void>(from.recv());
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void waits_for(turnkey::mutex& mu) {
  mu.lock();
  mu.unlock();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void spins_until(const std::atomic<bool>& is_over) {
  while (!is_over.load()) {
  }
}

TEST(Dump, ShowsWhatAGoroutineWaitsForWhereItIsAndWhoStartedIt) {
  auto numbers = turnkey::make_chan<int>(3);
  turnkey::wait_group wg;
  wg.go({.name = "reader"}, receives, numbers);
  const std::string text = dump_until("\"reader\" \\[chan receive");
  EXPECT_TRUE(
      matches(text,
              "^goroutine [0-9]+ \"reader\" \\[chan receive(, [0-9.]+ m?s)?\\]: waits on channel 0x[0-9a-f]+, 0 of 3\n"
              "(    .*\n)*    .*receives\\(.*\n(    .*\n)*created by .*TestBody\\(\\)    "));
  numbers.close();
  wg.wait();
}

TEST(Dump, ShowsWhoHoldsTheLockThatAThreadWaitsFor) {
  turnkey::mutex mu;
  mu.lock();
  std::atomic<std::int32_t> id{0};
  std::thread other([&] {
    id = turnkey::platform::thread_id();
    waits_for(mu);
  });
  const std::string text = dump_until("^thread [0-9]+ \\[sync\\.Mutex\\.Lock");
  EXPECT_TRUE(matches(text, "^thread " + std::to_string(id) +
                                " \\[sync\\.Mutex\\.Lock.*\\]: waits for mutex 0x.*, held by thread " +
                                std::to_string(turnkey::platform::thread_id()) + "\n(    .*\n)*    .*waits_for\\("));
  mu.unlock();
  other.join();
}

TEST(Dump, ShowsTheStackOfAGoroutineThatRuns) {
  std::atomic<bool> is_over{false};
  turnkey::wait_group wg;
  wg.go({.name = "spinner"}, spins_until, std::cref(is_over));
  const std::string text = dump_until("\"spinner\" \\[running\\]");
#ifndef SUPPORT_HAS_TSAN  // most of the time it is in TSan's runtime, which has no frame pointers
  EXPECT_TRUE(matches(text, "^goroutine [0-9]+ \"spinner\" \\[running\\]:\n(    .*\n)*    .*spins_until\\("));
#endif
  is_over = true;
  wg.wait();
}

TEST(Dump, ByAGoroutineShowsItselfAsRunningAndThoseThatItKeepsWaitingAsRunnable) {
  const int before = turnkey::set_max_procs(1);
  turnkey::wait_group wg;
  std::string text;
  wg.go({.name = "looks"}, [&] {
    wg.go({.name = "fresh"}, [] {});
    std::atomic<bool> has_yielded{false};
    wg.go({.name = "yields"}, [&] {
      for (int i = 0; i < 3; ++i) {
        has_yielded = true;
        turnkey::this_goroutine::yield();
      }
    });
    while (!has_yielded) turnkey::this_goroutine::yield();
    wg.go({.name = "new"}, [] {});
    text = dump();
  });
  wg.wait();
  turnkey::set_max_procs(before);
  EXPECT_TRUE(matches(text, "^goroutine [0-9]+ \"looks\" \\[running\\]:\n    .*dump\\(\\)    "));
  EXPECT_TRUE(matches(text, "^goroutine [0-9]+ \"new\" \\[runnable\\]:\ncreated by .*, in goroutine [0-9]+\n"));
  EXPECT_TRUE(matches(text, "^goroutine [0-9]+ \"yields\" \\[runnable\\]:\n    "));
}

TEST(Dump, ShowsThoseTogetherThatDoTheSame) {
  auto numbers = turnkey::make_chan<int>();
  auto others = turnkey::make_chan<int>();
  turnkey::wait_group wg;
  for (int i = 0; i < 5; ++i) {
    asm volatile("");  // all from one place: a loop that is unrolled has several
    wg.go(receives, i < 3 ? numbers : others);
  }
  const std::string text = dump_until("^3 goroutines: (.*\n)2 goroutines: ");
  // One stack, and a line for each thing that they wait for; which comes first depends on the addresses.
  const std::string three = "3 goroutines: [0-9]+, [0-9]+, [0-9]+ \\[chan receive.*\\]: waits on channel 0x.*\n";
  const std::string two = "2 goroutines: [0-9]+, [0-9]+ \\[chan receive.*\\]: waits on channel 0x.*\n";
  EXPECT_TRUE(matches(text, "^(" + three + two + "|" + two + three + ")    "));
  numbers.close();
  others.close();
  wg.wait();
}

TEST(Dump, SaysOfATimersChannelThatItIsOne) {
  turnkey::timer t(1h);
  turnkey::wait_group wg;
  std::stop_source stop;
  wg.go({.name = "patient"}, [&] { static_cast<void>(t.channel().recv(stop.get_token())); });
  const std::string text = dump_until("\"patient\" \\[chan receive");
  EXPECT_TRUE(matches(text, "\"patient\" \\[chan receive.*\\]: waits on a timer's channel 0x[0-9a-f]+\n"));
  stop.request_stop();
  wg.wait();
}

TEST(Dump, NamesTheFunctionThatStartedAGoroutineThroughAGroup) {
  auto numbers = turnkey::make_chan<int>();
  turnkey::task_group tasks;
  tasks.go({.name = "task"}, receives, numbers);
  auto later = turnkey::run_after(0s, [numbers] { receives(numbers); });
  const std::string text = dump_until("\"task\" \\[chan receive(.*\n)*created by (.*\n)*created by");
  EXPECT_TRUE(
      matches(text, "\"task\" \\[chan receive.*\n(    .*\n)*created by .*NamesTheFunctionThat.*TestBody\\(\\)    "));
  EXPECT_EQ(text.find("created by turnkey::"), std::string::npos) << text;
  numbers.close();
  tasks.wait();
}

TEST(Dump, ShowsTheLineOfTheCallWhereLibdwIs) {
  if (turnkey::platform::is_asan || dlopen("libdw.so.1", RTLD_LAZY) == nullptr)
    GTEST_SKIP() << "there is no libdw.so.1";
  auto numbers = turnkey::make_chan<int>();
  turnkey::wait_group wg;
  const int line = __LINE__ + 1;
  wg.go({.name = "reader"}, receives, numbers);
  const std::string text = dump_until("\"reader\" \\[chan receive");
  EXPECT_TRUE(matches(text, "created by .*dump_test\\.cpp:" + std::to_string(line) + "\n"));
  EXPECT_TRUE(matches(text, "    .*receives\\(.*    .*dump_test\\.cpp:[0-9]+\n"));
  numbers.close();
  wg.wait();
}

TEST(Dump, ManyAtOnceOfGoroutinesThatComeGoAndMoveDoesNoHarm) {
  std::atomic<bool> is_over{false};
  turnkey::wait_group wg;
  auto ping = turnkey::make_chan<int>();
  auto pong = turnkey::make_chan<int>();
  wg.go([&] {
    while (!is_over) {
      ping.send(1);
      static_cast<void>(pong.recv());
    }
    ping.close();
  });
  wg.go([&] {
    while (ping.recv()) pong.send(1);
  });
  wg.go([&] {
    while (!is_over) {
      turnkey::wait_group some;
      for (int i = 0; i < 20; ++i) some.go([] { turnkey::this_goroutine::yield(); });
      some.wait();
      turnkey::this_goroutine::sleep_for(100us);
    }
  });
  std::vector<std::thread> lookers;
  for (int i = 0; i < 2; ++i) {
    lookers.emplace_back([&] {
      const auto end = std::chrono::steady_clock::now() + 1s;
      while (std::chrono::steady_clock::now() < end) EXPECT_NE(dump(), "");
    });
  }
  for (std::thread& each : lookers) each.join();
  is_over = true;
  wg.wait();
}

TEST(ThreadStack, OfAThreadThatHasEndedIsNotToBeHad) {
  std::int32_t id = 0;
  std::thread([&] { id = turnkey::platform::thread_id(); }).join();
  turnkey::platform::stack_frames frames;
  EXPECT_FALSE(turnkey::platform::take_frames_of_thread(id, frames));
}

TEST(ThreadStack, OfAThreadThatBlocksTheSignalIsNotToBeHadAndIsNotWaitedForLong) {
  std::atomic<std::int32_t> id{0};
  std::atomic<bool> is_over{false};
  std::thread deaf([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    id = turnkey::platform::thread_id();
    while (!is_over) std::this_thread::sleep_for(1ms);
  });
  while (id == 0) std::this_thread::yield();
  turnkey::platform::stack_frames frames;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(turnkey::platform::take_frames_of_thread(id, frames));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  is_over = true;
  deaf.join();
}

// In a process of its own, where nobody has needed the signal before.
TEST(ThreadStack, LeavesOthersSignalsToTheirHandler) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  static std::atomic<int> handled{0};
  const auto body = [] {
    std::signal(SIGURG, [](int) { ++handled; });
    turnkey::platform::stack_frames frames;
    std::atomic<bool> is_over{false};
    std::atomic<std::int32_t> id{0};
    std::thread other([&] {
      id = turnkey::platform::thread_id();
      spins_until(is_over);
    });
    while (id == 0) std::this_thread::yield();
    const bool is_taken = turnkey::platform::take_frames_of_thread(id, frames);
    const int before = handled;
    std::raise(SIGURG);
    is_over = true;
    other.join();
    std::_Exit(is_taken && before == 0 && handled == 1 ? 0 : 1);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

}  // namespace
