// Exceptions belong to the goroutine that throws them, however it parks meanwhile and whatever others throw on the same
// worker. The C++ runtime keeps what is being thrown and caught per OS thread, so the scheduler must carry it along.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <turnkey/condition_variable.hpp>
#include <turnkey/go.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/semaphore.hpp>
#include <turnkey/task_group.hpp>
#include <turnkey/wait_group.hpp>

#include "support.hpp"

using namespace std::chrono_literals;
using support::dice;
using turnkey::wait_group;

namespace {

constexpr int throwers = 200;

// Says whose it is; counts how many there are.
class error_of : public std::runtime_error {
 public:
  explicit error_of(std::uint64_t owner, int depth = 0)
      : std::runtime_error(std::to_string(owner) + "/" + std::to_string(depth)), owner_(owner), depth_(depth) {
    ++alive;
  }
  error_of(const error_of& other) noexcept : std::runtime_error(other), owner_(other.owner_), depth_(other.depth_) {
    ++alive;
  }
  error_of& operator=(const error_of&) = delete;
  ~error_of() override { --alive; }
  [[nodiscard]] bool is(std::uint64_t owner, int depth = 0) const {
    return owner_ == owner && depth_ == depth && what() == std::to_string(owner) + "/" + std::to_string(depth);
  }

  static inline std::atomic<int> alive{0};

 private:
  std::uint64_t owner_;
  int depth_;
};

turnkey::mutex crossroads;

// Gives the worker away, in one way or another; sometimes not.
void park(dice& luck) {
  switch (luck.roll(7)) {
    case 0: turnkey::this_goroutine::sleep_for(std::chrono::microseconds(luck.roll(50))); break;
    case 1: {
      const std::scoped_lock hold(crossroads);
      turnkey::this_goroutine::yield();
      break;
    }
    case 2: turnkey::blocking([] { std::this_thread::yield(); }); break;
    case 3: {
      turnkey::semaphore none(0);
      EXPECT_FALSE(none.try_acquire_for(1us));
      break;
    }
    case 4: {
      wait_group done;
      done.go([] {});
      done.wait();
      break;
    }
    case 5: break;
    default: turnkey::this_goroutine::yield();
  }
}

// Runs body(id, luck) in `throwers` goroutines at once, at 1, 2, 4 and 16 procs.
template <class Body>
void in_many_goroutines(Body body) {
  for (const int procs : {1, 2, 4, 16}) {
    support::with_procs(procs, [&] {
      wait_group done;
      for (std::uint64_t id = 1; id <= throwers; ++id) {
        done.go([&body, id] {
          dice luck(id);
          for (int round = 0; round < 5; ++round) body(id, luck);
          EXPECT_EQ(std::uncaught_exceptions(), 0);
          EXPECT_EQ(std::current_exception(), nullptr);
        });
      }
      done.wait();
      EXPECT_EQ(error_of::alive, 0) << procs << " procs";
    });
  }
}

// Parks while it is destroyed.
class parks_when_destroyed {
 public:
  parks_when_destroyed(dice& luck, int expected) : luck_(luck), expected_(expected) {}
  parks_when_destroyed(const parks_when_destroyed&) = delete;
  parks_when_destroyed& operator=(const parks_when_destroyed&) = delete;
  ~parks_when_destroyed() {
    EXPECT_EQ(std::uncaught_exceptions(), expected_);
    park(luck_);
    EXPECT_EQ(std::uncaught_exceptions(), expected_);
  }

 private:
  dice& luck_;
  int expected_;
};

// Throws and catches while it is destroyed.
class throws_when_destroyed {
 public:
  throws_when_destroyed(std::uint64_t id, dice& luck) : id_(id), luck_(luck) {}
  throws_when_destroyed(const throws_when_destroyed&) = delete;
  throws_when_destroyed& operator=(const throws_when_destroyed&) = delete;
  ~throws_when_destroyed() {
    try {
      const parks_when_destroyed while_two_are_on_their_way(luck_, 2);
      throw error_of(id_, 1);
    } catch (const error_of& error) {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      park(luck_);
      EXPECT_TRUE(error.is(id_, 1));
    }
    EXPECT_EQ(std::uncaught_exceptions(), 1);
  }

 private:
  std::uint64_t id_;
  dice& luck_;
};

[[noreturn]] void throw_from_below(std::uint64_t id, dice& luck, int levels) {  // NOLINT(misc-no-recursion)
  const parks_when_destroyed while_unwinding(luck, 1);
  if (levels == 0) throw error_of(id);
  throw_from_below(id, luck, levels - 1);
}

}  // namespace

TEST(Exceptions, AreCaughtByTheGoroutineThatThrewThem) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    park(luck);
    try {
      park(luck);
      throw error_of(id);
    } catch (const error_of& error) {
      EXPECT_TRUE(error.is(id)) << error.what();
    }
    park(luck);
  });
}

TEST(Exceptions, StayOnesOwnWhileOneParksInTheHandler) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      throw error_of(id);
    } catch (const error_of& error) {
      for (int i = 0; i < 3; ++i) {
        park(luck);
        EXPECT_TRUE(error.is(id)) << error.what();
      }
    }
  });
}

TEST(Exceptions, ThatAreRethrownAfterAParkAreOnesOwn) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      try {
        throw error_of(id);
      } catch (...) {
        park(luck);
        throw;
      }
    } catch (const error_of& error) {
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

TEST(Exceptions, NestTwoDeepAcrossParks) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      try {
        throw error_of(id, 1);
      } catch (const error_of& outer) {
        park(luck);
        try {
          try {
            throw error_of(id, 2);
          } catch (const error_of& inner) {
            park(luck);
            EXPECT_TRUE(inner.is(id, 2)) << inner.what();
            throw;
          }
        } catch (const error_of& inner) {
          park(luck);
          EXPECT_TRUE(inner.is(id, 2)) << inner.what();
        }
        park(luck);
        EXPECT_TRUE(outer.is(id, 1)) << outer.what();
        throw;
      }
    } catch (const error_of& outer) {
      park(luck);
      EXPECT_TRUE(outer.is(id, 1)) << outer.what();
    }
  });
}

// A goroutine that parks without an exception must not find another's.
TEST(Exceptions, OfOthersAreNotSeen) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    if (id % 2 == 0) {
      try {
        const parks_when_destroyed while_unwinding(luck, 1);
        throw error_of(id);
      } catch (const error_of&) {
        park(luck);
      }
    } else {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(std::current_exception(), nullptr);
      turnkey::this_goroutine::yield();
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(std::current_exception(), nullptr);
    }
  });
}

TEST(Exceptions, AreCountedRightByDestructorsThatParkDuringUnwinding) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    { const parks_when_destroyed without_exception(luck, 0); }
    try {
      const parks_when_destroyed first(luck, 1);
      const parks_when_destroyed second(luck, 1);
      throw error_of(id);
    } catch (const error_of& error) {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

TEST(Exceptions, MayBeThrownAndCaughtByDestructorsThatParkDuringUnwinding) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      const throws_when_destroyed while_unwinding(id, luck);
      throw error_of(id);
    } catch (const error_of& error) {
      park(luck);
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

TEST(Exceptions, UnwindManyFramesThatPark) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      throw_from_below(id, luck, 10);
    } catch (const error_of& error) {
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

TEST(Exceptions, ThatAreCurrentStayCurrentAcrossParks) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    std::exception_ptr kept;
    try {
      throw error_of(id);
    } catch (...) {
      kept = std::current_exception();
      park(luck);
      EXPECT_EQ(std::current_exception(), kept);
    }
    park(luck);
    EXPECT_EQ(std::current_exception(), nullptr);
    try {
      std::rethrow_exception(kept);
    } catch (const error_of& error) {
      park(luck);
      EXPECT_EQ(std::current_exception(), kept);
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

TEST(Exceptions, MayBeHandedToAnotherGoroutine) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    std::exception_ptr parcel;
    turnkey::semaphore is_there(1);
    is_there.acquire();
    wait_group done;
    done.go([&] {
      dice mine(id + throwers);
      is_there.acquire();
      try {
        std::rethrow_exception(parcel);
      } catch (const error_of& error) {
        park(mine);
        EXPECT_TRUE(error.is(id)) << error.what();
        EXPECT_EQ(std::current_exception(), parcel);
      }
    });
    try {
      throw error_of(id);
    } catch (...) {
      parcel = std::current_exception();
      is_there.release();
      park(luck);  // both are in a handler of the same exception
      EXPECT_EQ(std::current_exception(), parcel);
    }
    done.wait();
  });
}

TEST(Exceptions, MayCarryOthersInThem) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    try {
      try {
        throw error_of(id, 1);
      } catch (...) {
        park(luck);
        std::throw_with_nested(error_of(id, 2));
      }
    } catch (const error_of& outer) {
      park(luck);
      EXPECT_TRUE(outer.is(id, 2)) << outer.what();
      try {
        std::rethrow_if_nested(outer);
        ADD_FAILURE() << "nothing is nested";
      } catch (const error_of& inner) {
        park(luck);
        EXPECT_TRUE(inner.is(id, 1)) << inner.what();
      }
    }
  });
}

TEST(Exceptions, AreNotInheritedByAGoroutineThatIsStartedInAHandler) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    wait_group done;
    const auto expect_none = [] {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(std::current_exception(), nullptr);
    };
    struct starter {
      wait_group& done;
      decltype(expect_none)& body;
      ~starter() { done.go(body); }
    };
    try {
      const starter while_unwinding{done, expect_none};
      throw error_of(id);
    } catch (const error_of&) {
      done.go(expect_none);
      park(luck);
    }
    done.wait();
  });
}

TEST(Exceptions, ComeThroughBlockingAndCondition) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    turnkey::mutex mu;
    turnkey::condition_variable never;
    try {
      std::unique_lock hold(mu);
      never.wait(hold, [&]() -> bool {
        park(luck);
        turnkey::blocking([&] { throw error_of(id); });
        return false;
      });
    } catch (const error_of& error) {
      park(luck);
      EXPECT_TRUE(error.is(id)) << error.what();
    }
    EXPECT_TRUE(mu.try_lock());
    mu.unlock();
  });
}

TEST(Exceptions, OfTasksReachTheOneThatWaitsForThem) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    turnkey::task_group tasks;
    tasks.go([id] { throw error_of(id); });
    park(luck);
    try {
      tasks.wait();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const error_of& error) {
      park(luck);
      EXPECT_TRUE(error.is(id)) << error.what();
    }
  });
}

// OS threads that wait in handlers have exceptions of their own, as ever.
TEST(Exceptions, OfThreadsAreTheirsWhileGoroutinesThrow) {
  std::atomic<bool> is_over{false};
  wait_group goroutines;
  for (std::uint64_t id = 1; id <= 20; ++id) {
    goroutines.go([&, id] {
      dice luck(id);
      while (!is_over) {
        try {
          throw error_of(id);
        } catch (const error_of& error) {
          park(luck);
          EXPECT_TRUE(error.is(id)) << error.what();
        }
      }
    });
  }
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t id = 1001; id <= 1004; ++id) {
      threads.emplace_back([id] {
        dice luck(id);
        for (int round = 0; round < 50; ++round) {
          try {
            try {
              throw error_of(id);
            } catch (...) {
              park(luck);
              throw;
            }
          } catch (const error_of& error) {
            park(luck);
            EXPECT_TRUE(error.is(id)) << error.what();
          }
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
      });
    }
  }
  is_over = true;
  goroutines.wait();
  EXPECT_EQ(error_of::alive, 0);
}

// All of the above by turns, so that each meets each.
TEST(Exceptions, OfAllKindsMix) {
  in_many_goroutines([](std::uint64_t id, dice& luck) {
    for (int turn = 0; turn < 4; ++turn) {
      try {
        switch (luck.roll(4)) {
          case 0: throw_from_below(id, luck, luck.roll(5));
          case 1: {
            const throws_when_destroyed while_unwinding(id, luck);
            throw error_of(id);
          }
          case 2: try { throw error_of(id, 7);
            } catch (const error_of& first) {
              park(luck);
              EXPECT_TRUE(first.is(id, 7)) << first.what();
              throw error_of(id);
            }
          default: try { throw static_cast<int>(id);
            } catch (int number) {
              park(luck);
              EXPECT_EQ(number, static_cast<int>(id));
            }
            throw error_of(id);
        }
      } catch (const error_of& error) {
        park(luck);
        EXPECT_TRUE(error.is(id)) << error.what();
        EXPECT_NE(std::current_exception(), nullptr);
      }
      park(luck);
      EXPECT_EQ(std::current_exception(), nullptr);
    }
  });
}
