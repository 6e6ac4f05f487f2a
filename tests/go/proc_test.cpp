// What Go's own scheduler tests say (src/runtime/proc_test.go, sema_test.go, test/chan/goroutines.go), said of turnkey.
// There are no channels here: what they did, a semaphore or a condition_variable does.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <turnkey/condition_variable.hpp>
#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/wait_group.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::with_procs;
using turnkey::semaphore;
using turnkey::wait_group;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(SUPPORT_HAS_ASAN)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

// Goroutines that spin for their turn without a scheduling point: they get through only if all of them run at once.
void take_turns_spinning(int goroutines, int rounds) {
  std::atomic<int> turn{0};
  wait_group done;
  for (int i = 0; i < goroutines; ++i) {
    done.go([&, i] {
      for (int round = 0; round < rounds; ++round) {
        while (turn.load(std::memory_order_acquire) != round * goroutines + i) {
        }
        turn.fetch_add(1, std::memory_order_acq_rel);
      }
    });
  }
  done.wait();
  EXPECT_EQ(turn, goroutines * rounds);
}

}  // namespace

// TestGoroutineParallelism
TEST(GoProc, AsManyGoroutinesAsProcsRunAtOnce) {
  for (int procs = 2; procs <= 4; ++procs) {
    with_procs(procs, [&] {
      for (int round = 0; round < 5; ++round) take_turns_spinning(procs, 3);
    });
  }
}

// TestGoroutineParallelism2: the same when the workers have just been asleep for a timer, or in a system call.
TEST(GoProc, AsManyGoroutinesAsProcsRunAtOnceAfterTheWorkersSlept) {
  with_procs(4, [] {
    wait_group done;
    for (int i = 0; i < 4; ++i) {
      done.go([] {
        turnkey::this_goroutine::sleep_for(1ms);
        turnkey::blocking([] { std::this_thread::sleep_for(1ms); });
      });
    }
    done.wait();
    for (int round = 0; round < 5; ++round) take_turns_spinning(4, 3);
  });
}

// As TestGoroutineParallelism, but a goroutine starts the others: its own worker must not keep them to itself.
TEST(GoProc, GoroutinesThatASpinningGoroutineStartsRunElsewhere) {
  with_procs(4, [] {
    wait_group done;
    done.go([&] {
      std::atomic<int> here{0};
      wait_group others;
      for (int i = 0; i < 3; ++i) others.go([&] { ++here; });
      while (here < 3) {
      }
      others.wait();
    });
    done.wait();
  });
}

// TestYieldProgress
TEST(GoProc, YieldersLetTheOneThatStopsThemRun) {
  with_procs(1, [] {
    semaphore stop(1);
    semaphore stopped(1);
    stop.acquire();
    stopped.acquire();
    turnkey::go([&] {
      while (!stop.try_acquire()) turnkey::this_goroutine::yield();
      stopped.release();
    });
    wait_group done;
    done.go([&] {
      turnkey::this_goroutine::sleep_for(10ms);
      stop.release();
      stopped.acquire();
    });
    done.wait();
  });
}

// TestTimerFairness
TEST(GoProc, TwoHogsDoNotHoldUpATimer) {
  for (const int procs : {1, 2}) {
    with_procs(procs, [] {
      std::atomic<bool> is_over{false};
      semaphore token(1);
      wait_group done;
      for (int i = 0; i < 2; ++i) {
        done.go([&] {
          while (!is_over) {
            token.acquire();
            token.release();
            turnkey::this_goroutine::yield();
          }
        });
      }
      done.go([&] {
        turnkey::this_goroutine::sleep_for(20ms);
        is_over = true;
      });
      done.wait();
    });
  }
}

namespace {

// Two goroutines that hand each other the turn by a condition_variable, and count `step` times before each hand-over.
class ping_pong {
 public:
  ping_pong(std::int64_t step, std::atomic<bool>& is_over) : step_(step), is_over_(is_over) {}
  void start(wait_group& done) {
    for (int player = 0; player < 2; ++player) {
      done.go([this, player] { play(player); });
    }
  }
  [[nodiscard]] std::int64_t count() const { return count_; }
  // Wakes the players, to see that it is over.
  void stop() {
    const std::scoped_lock hold(mu_);
    turn_.notify_all();
  }

 private:
  void play(int player) {
    for (;;) {
      {
        std::unique_lock hold(mu_);
        turn_.wait(hold, [&] { return whose_ == player || is_over_; });
      }
      if (is_over_) return;
      for (std::int64_t i = 0; i < step_; ++i)
        count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      const std::scoped_lock hold(mu_);
      whose_ = 1 - player;
      turn_.notify_one();
    }
  }

  const std::int64_t step_;
  std::atomic<bool>& is_over_;
  std::atomic<std::int64_t> count_{0};
  turnkey::mutex mu_;
  turnkey::condition_variable turn_;
  int whose_ = 0;
};

}  // namespace

// TestPingPongHog: a pair that does much at each turn and a pair that does a thousandth of it get their share of one
// proc. Whoever goes by turns and not by time is off by the factor 1000.
TEST(GoProc, APairThatWorksLongAtATimeLeavesAPairThatDoesNotItsShare) {
  with_procs(1, [] {
    std::atomic<bool> is_over{false};
    ping_pong hog(is_sanitized ? 100'000 : 1'000'000, is_over);
    ping_pong light(is_sanitized ? 100 : 1'000, is_over);
    wait_group done;
    hog.start(done);
    light.start(done);
    // Go lets them run for 100 ms. Here: until one of them has had enough for a verdict, so that no clock is in it.
    const std::int64_t enough = is_sanitized ? 30'000'000 : 300'000'000;
    while (hog.count() < enough && light.count() < enough) std::this_thread::sleep_for(1ms);
    is_over = true;
    const double ratio =
        static_cast<double>(hog.count()) / static_cast<double>(std::max<std::int64_t>(light.count(), 1));
    hog.stop();
    light.stop();
    done.wait();
    EXPECT_LT(ratio, 20);
    EXPECT_GT(ratio, 1.0 / 20);
  });
}

// TestPreemptionAfterSyscall: what comes back from a system call gets its turn although others compute.
TEST(GoProc, GoroutinesThatBlockAndComputeAllGetOn) {
  for (const auto period : {10us, 100us, 1000us}) {
    with_procs(2, [&] {
      constexpr int goroutines = 8;
      wait_group done;
      for (int i = 0; i < goroutines; ++i) {
        done.go([&] {
          for (int round = 0; round < 10; ++round) {
            for (int work = 0; work < 100'000; ++work) std::atomic_signal_fence(std::memory_order_seq_cst);
            turnkey::blocking([&] { std::this_thread::sleep_for(period); });
          }
        });
      }
      done.wait();
    });
  }
}

// TestNumGoroutine
TEST(GoProc, NumGoroutinesIsHowManyThereAre) {
  support::await([] { return turnkey::num_goroutines() == 0; });
  for (int goroutines = 1; goroutines <= 256; goroutines *= 4) {
    semaphore gate(goroutines);
    gate.acquire(goroutines);
    wait_group here;
    wait_group done;
    for (int i = 0; i < goroutines; ++i) {
      here.add();
      done.go([&] {
        here.done();
        gate.acquire();
      });
    }
    here.wait();
    EXPECT_EQ(turnkey::num_goroutines(), static_cast<std::size_t>(goroutines));
    gate.release(goroutines);
    support::await([] { return turnkey::num_goroutines() == 0; });
    done.wait();  // the count orders nothing, and what they used goes now
  }
}

// TestStopTheWorldDeadlock: asking and setting at the same time from everywhere.
TEST(GoProc, ChangingAndCountingDoNotGetInEachOthersWay) {
  with_procs(3, [] {
    wait_group done;
    std::atomic<bool> is_over{false};
    for (int i = 0; i < 2; ++i) {
      done.go([&] {
        while (!is_over) {
          EXPECT_GE(turnkey::num_goroutines(), 1U);
          turnkey::this_goroutine::yield();
        }
      });
    }
    done.go([&] {
      for (int round = 0; round < 500; ++round) turnkey::set_max_procs(3);
      is_over = true;
    });
    done.wait();
  });
}

// TestBigGOMAXPROCS
TEST(GoProc, ManyProcsAreNoHarm) {
  with_procs(1024, [] {
    wait_group done;
    std::atomic<int> runs{0};
    for (int i = 0; i < 500; ++i) done.go([&] { ++runs; });
    done.wait();
    EXPECT_EQ(runs, 500);
  });
}

// testSemaHandoff: whoever waits has the token before the releaser can have it back. Where one proc runs both, each
// release is followed by a turn of the other; allowed are few exceptions, as in Go, for a moment in which the kernel
// had preempted the worker.
TEST(GoProc, AReleaseHandsTheTokenToTheOneThatWaits) {
  with_procs(1, [] {
    constexpr int rounds = is_sanitized ? 1'000 : 10'000;
    semaphore token(1);
    int last = -1;  // guarded by token
    int handoffs = 0;
    wait_group done;
    // Started by a goroutine, so that neither runs before both are there.
    done.go([&] {
      for (int player = 0; player < 2; ++player) {
        done.go([&, player] {
          for (int round = 0; round < rounds; ++round) {
            token.acquire();
            if (last == 1 - player) ++handoffs;
            last = player;
            turnkey::this_goroutine::yield();  // the other comes to wait
            token.release();
          }
        });
      }
    });
    done.wait();
    EXPECT_GT(handoffs, 2 * rounds * 2 / 3);
  });
}

// test/chan/goroutines: a chain in which each goroutine waits for the one to its right.
TEST(GoProc, AChainOfTenThousandPassesOneTokenOn) {
  constexpr std::size_t length = is_sanitized ? 500 : 10'000;
  for (const int procs : {1, 4}) {
    with_procs(procs, [&] {
      std::vector<std::unique_ptr<semaphore>> links;
      for (std::size_t i = 0; i <= length; ++i) {
        links.push_back(std::make_unique<semaphore>(1));
        links.back()->acquire();
      }
      wait_group done;
      int passes = 0;  // handed on with the token
      for (std::size_t i = 0; i < length; ++i) {
        done.go([&, i] {
          links[i + 1]->acquire();
          ++passes;
          links[i]->release();
        });
      }
      links[length]->release();
      links[0]->acquire();
      EXPECT_EQ(passes, static_cast<int>(length));
      done.wait();
    });
  }
}

TEST(GoProc, AChainOfTenThousandStartsOneAnother) {
  static constexpr int length = is_sanitized ? 500 : 10'000;
  for (const int procs : {1, 4}) {
    with_procs(procs, [] {
      wait_group done;
      int steps = 0;  // handed on with each start
      struct link {
        wait_group& group;
        int& count;
        void operator()() const {
          if (++count < length) group.go(link{group, count});
        }
      };
      done.go(link{done, steps});
      done.wait();
      EXPECT_EQ(steps, length);
    });
  }
}
