#include <turnkey/rw_mutex.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "support.hpp"

using namespace std::chrono_literals;
using support::stage;

static_assert(support::timed_lockable<turnkey::rw_mutex>);
static_assert(support::shared_timed_lockable<turnkey::rw_mutex>);
static_assert(support::stays_where_it_is<turnkey::rw_mutex>);
static_assert(sizeof(turnkey::rw_mutex) <= 32);
static_assert(std::is_nothrow_default_constructible_v<turnkey::rw_mutex>);
static_assert(support::timed_lockable<turnkey::reader>);
static_assert(std::is_copy_constructible_v<turnkey::reader>);

namespace {

constinit turnkey::rw_mutex static_mutex;

bool can_read(turnkey::rw_mutex& mu) {
  const bool could = mu.try_lock_shared();
  if (could) mu.unlock_shared();
  return could;
}

bool can_write(turnkey::rw_mutex& mu) {
  const bool could = mu.try_lock();
  if (could) mu.unlock();
  return could;
}

}  // namespace

TEST(RwMutex, IsReadyBeforeAnyConstructorRuns) {
  const std::shared_lock look(static_mutex);
  EXPECT_FALSE(static_mutex.try_lock());
}

TEST(RwMutex, AdmitsManyReadersOrOneWriter) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    EXPECT_TRUE(can_read(mu));
    EXPECT_TRUE(can_write(mu));
    mu.lock_shared();
    EXPECT_TRUE(can_read(mu));
    EXPECT_FALSE(can_write(mu));
    mu.lock_shared();
    mu.unlock_shared();
    EXPECT_FALSE(can_write(mu));
    mu.unlock_shared();
    mu.lock();
    EXPECT_FALSE(can_read(mu));
    EXPECT_FALSE(can_write(mu));
    mu.unlock();
    EXPECT_TRUE(can_read(mu));
    EXPECT_TRUE(can_write(mu));
  });
}

TEST(RwMutex, CountsManyReaders) {
  support::run_everywhere([](const stage&) {
    constexpr int readers = 1000;
    turnkey::rw_mutex mu;
    for (int i = 0; i < readers; ++i) mu.lock_shared();
    for (int i = 0; i < readers; ++i) {
      ASSERT_FALSE(can_write(mu)) << readers - i << " readers are inside";
      mu.unlock_shared();
    }
    EXPECT_TRUE(can_write(mu));
  });
}

// Each reader stays until all are inside.
TEST(RwMutex, LetsReadersOverlap) {
  support::run_everywhere([](const stage& where) {
    constexpr int readers = 8;
    turnkey::rw_mutex mu;
    std::atomic<int> inside{0};
    support::crew others(where);
    for (int i = 0; i < readers; ++i) {
      others.start([&] {
        const std::shared_lock look(mu);
        ++inside;
        support::await([&] { return inside.load() == readers; });
      });
    }
  });
}

// The readers come out of a queue behind a writer and must overlap as well.
TEST(RwMutex, LetsReadersThatWaitedOverlap) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    std::array<support::watched, 8> readers;
    std::atomic<std::size_t> inside{0};
    mu.lock();
    support::crew others(where);
    for (auto& reader : readers) {
      others.start(reader, [&] {
        const std::shared_lock look(mu);
        ++inside;
        support::await([&] { return inside.load() == readers.size(); });
      });
    }
    for (auto& reader : readers) EXPECT_TRUE(reader.comes_to_wait());
    mu.unlock();
  });
}

TEST(RwMutex, HoldsBackNewReadersWhileAWriterWaits) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    support::watched writer;
    support::watched late_reader;
    bool has_written = false;
    support::crew others(where);
    mu.lock_shared();
    others.start(writer, [&] {
      const std::scoped_lock change(mu);
      has_written = true;
    });
    EXPECT_TRUE(writer.comes_to_wait());
    EXPECT_FALSE(mu.try_lock_shared());
    EXPECT_FALSE(mu.try_lock_shared_for(1us));
    others.start(late_reader, [&] {
      const std::shared_lock look(mu);
      EXPECT_TRUE(has_written) << "the reader went past a writer that waited";
    });
    EXPECT_TRUE(late_reader.comes_to_wait());
    mu.unlock_shared();
  });
}

// Both kinds of limit, for a writer that waits behind a reader and holds back another one.
// Those it waits for have mostly been let in and want its worker: it lets them go on before it holds them back. Not in each round,
// as a worker that is one too many may still run the writer beside this.
TEST(RwMutex, IsLeftToTheOthersOnceByAGoroutineThatWantsToWrite) {
  constexpr int rounds = 20;
  int left = 0;
  support::with_procs(1, [&left] {
    turnkey::wait_group ended;
    ended.go([&left] {
      for (int round = 0; round < rounds; ++round) {
        turnkey::rw_mutex mu;
        turnkey::wait_group writer;
        std::atomic<bool> has_come{false};
        mu.lock_shared();
        writer.go([&] {
          has_come = true;
          const std::scoped_lock change(mu);
        });
        turnkey::this_goroutine::yield();
        if (has_come && mu.try_lock_shared()) {
          ++left;
          mu.unlock_shared();
        }
        mu.unlock_shared();
        writer.wait();
      }
    });
    ended.wait();
  });
  EXPECT_GE(left, rounds / 2);
}

// Beside a reader that stays in the lock it gives way ten times, in vain, and then mostly once: 200 times in all if it learned nothing.
TEST(RwMutex, SoonWaitsForReadersWhoStayInItWithoutGivingWayAgainAndAgain) {
  constexpr int rounds = 20;
  int most = 0;
  int total = 0;
  support::with_procs(1, [&] {
    turnkey::wait_group ended;
    ended.go([&] {
      std::array<turnkey::rw_mutex, 2> locks;  // what was learned last belongs to the one: the other begins anew
      for (int round = 0; round < rounds; ++round) {
        turnkey::rw_mutex& mu = locks[round == 0 ? 0 : 1];
        turnkey::wait_group writer;
        mu.lock_shared();
        writer.go([&] { const std::scoped_lock change(mu); });
        int times = 0;
        turnkey::this_goroutine::yield();
        while (mu.try_lock_shared()) {
          mu.unlock_shared();
          ++times;
          turnkey::this_goroutine::yield();
        }
        mu.unlock_shared();
        writer.wait();
        most = std::max(most, times);
        total += times;
      }
    });
    ended.wait();
  });
  EXPECT_GT(most, 1);
  EXPECT_LT(total, 100);
}

TEST(RwMutex, LetsTheReadersInWhenTheWriterThatHeldThemBackGivesUp) {
  support::run_everywhere([](const stage& where) {
    for (const bool by_stop : {false, true}) {
      turnkey::rw_mutex mu;
      support::watched writer;
      std::array<support::watched, 3> readers;
      std::atomic<bool> may_give_up{false};
      std::stop_source source;
      support::crew others(where);
      mu.lock_shared();
      others.start(writer, [&] {
        if (by_stop) {
          EXPECT_FALSE(mu.lock(source.get_token()));
        } else {
          while (!mu.try_lock_for(1ms)) {
            if (may_give_up) return;
          }
          // Its last attempt may outlast the reader.
          EXPECT_TRUE(may_give_up) << "wrote while somebody read";
          mu.unlock();
        }
      });
      EXPECT_TRUE(writer.comes_to_wait());
      for (auto& reader : readers) {
        others.start(reader, [&] { const std::shared_lock look(mu); });
        // Between two attempts of a writer with a short limit a reader may slip in.
        const bool has_waited = reader.comes_to_wait();
        if (by_stop) {
          EXPECT_TRUE(has_waited);
        }
      }
      may_give_up = true;
      source.request_stop();
      for (auto& reader : readers) support::await([&] { return reader.has_left(); });
      support::await([&] { return writer.has_left(); });
      EXPECT_FALSE(can_write(mu)) << "the first reader is still there";
      mu.unlock_shared();
      others.join();
      EXPECT_TRUE(can_write(mu));
    }
  });
}

// A writer that gives up lets in those behind it only up to the next writer.
TEST(RwMutex, KeepsReadersBackWhenOneOfTwoWritersGivesUp) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    std::array<support::watched, 2> writers;
    support::watched late_reader;
    std::stop_source source;
    bool has_written = false;
    support::crew others(where);
    mu.lock_shared();
    others.start(writers[0], [&] { EXPECT_FALSE(mu.lock(source.get_token())); });
    EXPECT_TRUE(writers[0].comes_to_wait());
    others.start(writers[1], [&] {
      const std::scoped_lock change(mu);
      has_written = true;
    });
    EXPECT_TRUE(writers[1].comes_to_wait());
    others.start(late_reader, [&] {
      const std::shared_lock look(mu);
      EXPECT_TRUE(has_written);
    });
    EXPECT_TRUE(late_reader.comes_to_wait());
    source.request_stop();
    support::await([&] { return writers[0].has_left(); });
    EXPECT_FALSE(mu.try_lock_shared());
    EXPECT_TRUE(late_reader.waits());
    mu.unlock_shared();
  });
}

// Three readers come while one writer writes and another waits. They all get in, together, before the other writer.
TEST(RwMutex, LetsTheReadersThatWaitedGoBeforeTheNextWriter) {
  support::run_everywhere([](const stage& where) {
    for (const bool writer_came_first : {false, true}) {
      turnkey::rw_mutex mu;
      support::watched writer;
      std::array<support::watched, 3> readers;
      std::atomic<std::size_t> inside{0};
      bool has_written = false;
      support::crew others(where);
      mu.lock();
      const auto start_writer = [&] {
        others.start(writer, [&] {
          const std::scoped_lock change(mu);
          EXPECT_EQ(inside.load(), readers.size());
          has_written = true;
        });
        EXPECT_TRUE(writer.comes_to_wait());
      };
      if (writer_came_first) start_writer();
      for (auto& reader : readers) {
        others.start(reader, [&] {
          const std::shared_lock look(mu);
          ++inside;
          support::await([&] { return inside.load() == readers.size(); });
          EXPECT_FALSE(has_written);
        });
        EXPECT_TRUE(reader.comes_to_wait());
      }
      if (!writer_came_first) start_writer();
      mu.unlock();
      others.join();
      EXPECT_TRUE(has_written);
    }
  });
}

TEST(RwMutex, DoesNotStarveAWriterAmongReadersThatOverlapForEver) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    std::atomic<int> writes{0};
    std::atomic<int> inside{0};
    support::crew others(where);
    for (int i = 0; i < 3; ++i) {
      others.start([&] {
        while (writes.load(std::memory_order_relaxed) < 20) {
          mu.lock_shared();
          ++inside;
          // Stays until another one is there too, so that the readers alone would never leave the lock free, or until
          // a writer holds the others back.
          support::await([&] { return inside.load() > 1 || !can_read(mu) || writes.load() == 20; });
          --inside;
          mu.unlock_shared();
          turnkey::this_goroutine::yield();
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      mu.lock();
      EXPECT_EQ(inside.load(), 0);
      ++writes;
      mu.unlock();
    }
  });
}

TEST(RwMutex, DoesNotStarveAReaderAmongWritersThatFollowEachOther) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    std::atomic<int> reads{0};
    int data = 0;
    support::crew others(where);
    for (int i = 0; i < 3; ++i) {
      others.start([&] {
        while (reads.load(std::memory_order_relaxed) < 20) {
          const std::scoped_lock change(mu);
          ++data;
          turnkey::this_goroutine::yield();
          ++data;
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      const std::shared_lock look(mu);
      EXPECT_EQ(data % 2, 0);
      ++reads;
    }
  });
}

TEST(RwMutex, NeverRefusesAReaderBecauseOfOtherReaders) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    support::crew others(where);
    for (int i = 0; i < 4; ++i) {
      others.start([&, i] {
        support::dice luck(static_cast<std::uint64_t>(i));
        for (int k = 0; k < 500; ++k) {
          ASSERT_TRUE(mu.try_lock_shared());
          luck.dawdle();
          mu.unlock_shared();
        }
      });
    }
  });
}

// Many reads may make the lock count them elsewhere; what they leave behind must still add up to nobody.
TEST(RwMutex, IsFreeForAWriterOnceTheReadersHaveLeft) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    for (int tour = 0; tour < 5; ++tour) {
      {
        support::crew others(where);
        for (int i = 0; i < 3; ++i) {
          others.start([&] {
            for (int k = 0; k < 200; ++k) {
              const std::shared_lock look(mu);
              if (k % 50 == 0) turnkey::this_goroutine::yield();
            }
          });
        }
      }
      EXPECT_TRUE(mu.try_lock());
      EXPECT_FALSE(mu.try_lock_shared());
      mu.unlock();
      for (int k = 0; k < 200; ++k) mu.lock_shared();
      EXPECT_FALSE(mu.try_lock());
      for (int k = 0; k < 200; ++k) mu.unlock_shared();
      EXPECT_TRUE(can_write(mu));
    }
  });
}

// The reader comes in on one thread and leaves on another, or on none in particular, as a goroutine that has moved.
TEST(RwMutex, LetsAReaderLeaveElsewhereThanItCameIn) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    for (int tour = 0; tour < 3; ++tour) {
      for (int k = 0; k < 100; ++k) {
        const std::shared_lock look(mu);
      }
      for (int k = 0; k < 8; ++k) mu.lock_shared();
      {
        support::crew others(where);
        for (int i = 0; i < 4; ++i) {
          others.start([&] {
            mu.unlock_shared();
            turnkey::this_goroutine::sleep_for(1us);
            EXPECT_FALSE(mu.try_lock());
            mu.lock_shared();
            turnkey::this_goroutine::sleep_for(1us);
            mu.unlock_shared();
          });
        }
      }
      for (int k = 0; k < 4; ++k) {
        EXPECT_FALSE(can_write(mu));
        mu.unlock_shared();
      }
      EXPECT_TRUE(can_write(mu));
    }
  });
}

// Readers are not ordered among each other, but every one of them is ordered before the next writer.
TEST(RwMutex, ShowsAWriterWhatEveryReaderDid) {
  support::run_everywhere([](const stage& where) {
    constexpr std::size_t readers = 4;
    constexpr int rounds = 12;
    turnkey::rw_mutex mu;
    std::array<int, readers> notes{};  // each written by its reader alone, under the read lock
    int round = 0;
    support::crew others(where);
    for (std::size_t i = 0; i < readers; ++i) {
      others.start([&, i] {
        for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
          const std::shared_lock look(mu);
          notes[i] = round;
          is_last = round == rounds;
        }
      });
    }
    for (bool is_last = false; !is_last; turnkey::this_goroutine::yield()) {
      const std::scoped_lock change(mu);
      is_last = round == rounds;
      if (std::ranges::all_of(notes, [&](int note) { return note == round; }) && !is_last) ++round;
    }
  });
}

TEST(RwMutex, GivesReadersAConsistentMap) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex mu;
    std::map<int, int> table;
    std::atomic<bool> is_over{false};
    support::crew others(where);
    for (int i = 0; i < 4; ++i) {
      others.start([&] {
        while (!is_over.load(std::memory_order_relaxed)) {
          {
            const std::shared_lock look(mu);
            int last = -1;
            for (const auto& [key, value] : table) {
              EXPECT_EQ(value, 2 * key);
              last = key;
            }
            EXPECT_EQ(static_cast<int>(table.size()), last + 1);
          }
          turnkey::this_goroutine::yield();
        }
      });
    }
    for (int key = 0; key < 100; ++key) {
      const std::scoped_lock change(mu);
      int& value = table[key];
      turnkey::this_goroutine::yield();
      value = 2 * key;
    }
    is_over = true;
  });
}

TEST(RwMutex, IsFreeAfterAnExceptionAndAnEarlyReturn) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    const auto look_up = [&](int key) {
      const std::shared_lock look(mu);
      if (key < 0) throw std::out_of_range("no such key");
      return key;
    };
    const auto change = [&](int key) {
      const std::unique_lock hold(mu);
      if (key < 0) throw std::out_of_range("no such key");
    };
    EXPECT_THROW(look_up(-1), std::out_of_range);
    EXPECT_TRUE(can_write(mu));
    EXPECT_EQ(look_up(1), 1);
    EXPECT_TRUE(can_write(mu));
    EXPECT_THROW(change(-1), std::out_of_range);
    EXPECT_TRUE(can_write(mu));
  });
}

// A writer that was overtaken reserves the lock, sleeps again, and gives up while a reader waits: the reservation goes with
// it, or the lock would be nobody's for ever.
TEST(RwMutex, IsFreeAfterAWriterThatHadReservedItHasGivenUp) {
  for (int round = 0; round < 5; ++round) {
    turnkey::rw_mutex mu;
    mu.lock();
    std::thread writer([&] {
      if (mu.try_lock_for(30ms)) mu.unlock();
    });
    std::this_thread::sleep_for(5ms);
    for (int i = 0; i < 3; ++i) {  // wakes it, and overtakes it
      mu.unlock();
      mu.lock();
      std::this_thread::sleep_for(1ms);
    }
    std::thread reader([&] {
      mu.lock_shared();
      mu.unlock_shared();
    });
    writer.join();
    mu.unlock();
    reader.join();
    ASSERT_TRUE(mu.try_lock()) << "in round " << round;
    mu.unlock();
  }
}

TEST(RwMutex, WorksWithTheStandardGuards) {
  support::run_everywhere([](const stage& where) {
    turnkey::rw_mutex left;
    turnkey::rw_mutex right;
    {
      std::shared_lock look(left, 1h);
      EXPECT_TRUE(look.owns_lock());
      std::shared_lock look_too(left, std::try_to_lock);
      EXPECT_TRUE(look_too.owns_lock());
      look.unlock();
      EXPECT_TRUE(look.try_lock_until(std::chrono::system_clock::now() + 1h));
      std::unique_lock change(left, 1us);
      EXPECT_FALSE(change.owns_lock());
    }
    int sum = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 4; ++i) {
        others.start([&, i] {
          for (int k = 0; k < 30; ++k) {
            if (i % 2 == 0) {
              const std::scoped_lock hold(left, right);
              ++sum;
            } else {
              std::shared_lock look(right, std::defer_lock);
              std::unique_lock change(left, std::defer_lock);
              std::lock(look, change);
              ++sum;
            }
          }
        });
      }
    }
    EXPECT_EQ(sum, 120);
    EXPECT_TRUE(can_write(left));
    EXPECT_TRUE(can_write(right));
  });
}

TEST(RwMutex, WorksWithTheStandardConditionVariable) {
  turnkey::rw_mutex mu;
  std::condition_variable_any changed;
  int data = 0;
  std::jthread reader([&] {
    std::shared_lock look(mu);
    changed.wait(look, [&] { return data == 100; });
  });
  for (int i = 0; i < 100; ++i) {
    const std::unique_lock change(mu);
    ++data;
    changed.notify_all();
  }
}

TEST(Reader, LooksAtOneRwMutexThroughAllItsCopies) {
  support::run_everywhere([](const stage&) {
    turnkey::rw_mutex mu;
    turnkey::reader first(mu);
    turnkey::reader second = first;
    const std::scoped_lock one(first);
    {
      const std::scoped_lock two(second);
      EXPECT_FALSE(can_write(mu));
    }
    EXPECT_FALSE(can_write(mu));
    EXPECT_TRUE(can_read(mu));
  });
}
