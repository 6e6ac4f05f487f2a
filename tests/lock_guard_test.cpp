#include <turnkey/lock_guard.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>
#include <system_error>
#include <type_traits>

#include <turnkey/condition_variable.hpp>
#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"

using support::stage;

static_assert(support::stays_where_it_is<turnkey::lock_guard<turnkey::mutex>>);
static_assert(support::stays_where_it_is<turnkey::unique_lock<turnkey::mutex>>);
static_assert(support::stays_where_it_is<turnkey::shared_lock<turnkey::rw_mutex>>);
static_assert(support::lockable<turnkey::unique_lock<turnkey::mutex>>);
static_assert(support::lockable<turnkey::shared_lock<turnkey::rw_mutex>>);
static_assert(std::is_same_v<turnkey::lock_guard<std::mutex>::mutex_type, std::mutex>);

namespace {

template <class Mutex>
bool is_free(Mutex& mu) {
  const bool could = mu.try_lock();
  if (could) mu.unlock();
  return could;
}

// Calls f and returns the code of the std::system_error that it throws.
template <class F>
std::error_code failure_of(F f) {
  try {
    f();
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

const std::error_code would_deadlock = std::make_error_code(std::errc::resource_deadlock_would_occur);
const std::error_code not_permitted = std::make_error_code(std::errc::operation_not_permitted);

}  // namespace

template <class Mutex>
class AGuardOf : public ::testing::Test {};
using mutexes = ::testing::Types<turnkey::mutex, turnkey::rw_mutex, std::mutex>;
TYPED_TEST_SUITE(AGuardOf, mutexes);

TYPED_TEST(AGuardOf, HoldsTheLockForItsScope) {
  TypeParam mu;
  {
    const turnkey::lock_guard hold(mu);
    EXPECT_FALSE(is_free(mu));
  }
  EXPECT_TRUE(is_free(mu));
  {
    const turnkey::unique_lock hold(mu);
    EXPECT_FALSE(is_free(mu));
  }
  EXPECT_TRUE(is_free(mu));
}

TYPED_TEST(AGuardOf, ReleasesWhatItAdopted) {
  TypeParam mu;
  mu.lock();
  {
    const turnkey::lock_guard hold(mu, std::adopt_lock);
    EXPECT_FALSE(is_free(mu));
  }
  EXPECT_TRUE(is_free(mu));
  mu.lock();
  {
    const turnkey::unique_lock hold(mu, std::adopt_lock);
    EXPECT_TRUE(hold.owns_lock());
  }
  EXPECT_TRUE(is_free(mu));
}

TYPED_TEST(AGuardOf, ReleasesWhenAnExceptionLeavesTheScope) {
  TypeParam mu;
  EXPECT_THROW(
      {
        const turnkey::lock_guard hold(mu);
        throw std::runtime_error("x");
      },
      std::runtime_error);
  EXPECT_TRUE(is_free(mu));
  EXPECT_THROW(
      {
        const turnkey::unique_lock hold(mu);
        throw std::runtime_error("x");
      },
      std::runtime_error);
  EXPECT_TRUE(is_free(mu));
}

TYPED_TEST(AGuardOf, LetsGoAndTakesAgainOnDemand) {
  TypeParam mu;
  {
    turnkey::unique_lock hold(mu, std::defer_lock);
    EXPECT_FALSE(hold.owns_lock());
    EXPECT_FALSE(static_cast<bool>(hold));
    EXPECT_EQ(hold.mutex(), &mu);
    EXPECT_TRUE(is_free(mu));
    hold.lock();
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_TRUE(static_cast<bool>(hold));
    EXPECT_FALSE(is_free(mu));
    hold.unlock();
    EXPECT_FALSE(hold.owns_lock());
    EXPECT_TRUE(is_free(mu));
    EXPECT_TRUE(hold.try_lock());
    EXPECT_FALSE(is_free(mu));
    hold.unlock();
  }
  EXPECT_TRUE(is_free(mu));
}

TYPED_TEST(AGuardOf, DoesNotOwnWhatItFailedToTake) {
  TypeParam mu;
  mu.lock();
  {
    turnkey::unique_lock hold(mu, std::defer_lock);
    EXPECT_FALSE(hold.try_lock());
    EXPECT_FALSE(hold.owns_lock());
  }
  EXPECT_FALSE(is_free(mu)) << "the guard released what was not its own";
  mu.unlock();
}

TYPED_TEST(AGuardOf, RefusesToLockTwiceAndToUnlockWhatItDoesNotHold) {
  TypeParam mu;
  turnkey::unique_lock hold(mu);
  EXPECT_EQ(failure_of([&] { hold.lock(); }), would_deadlock);
  EXPECT_EQ(failure_of([&] { static_cast<void>(hold.try_lock()); }), would_deadlock);
  EXPECT_TRUE(hold.owns_lock());
  hold.unlock();
  EXPECT_EQ(failure_of([&] { hold.unlock(); }), not_permitted);
  EXPECT_TRUE(is_free(mu));
}

TEST(SharedLock, SharesTheLockForItsScope) {
  turnkey::rw_mutex mu;
  {
    const turnkey::shared_lock look(mu);
    EXPECT_TRUE(look.owns_lock());
    const turnkey::shared_lock look_too(mu);
    EXPECT_FALSE(is_free(mu));
  }
  EXPECT_TRUE(is_free(mu));
}

TEST(SharedLock, AdoptsDefersLetsGoAndTakesAgain) {
  turnkey::rw_mutex mu;
  mu.lock_shared();
  {
    const turnkey::shared_lock look(mu, std::adopt_lock);
    EXPECT_TRUE(look.owns_lock());
  }
  EXPECT_TRUE(is_free(mu));
  {
    turnkey::shared_lock look(mu, std::defer_lock);
    EXPECT_FALSE(look.owns_lock());
    EXPECT_FALSE(static_cast<bool>(look));
    EXPECT_EQ(look.mutex(), &mu);
    EXPECT_TRUE(is_free(mu));
    look.lock();
    EXPECT_TRUE(static_cast<bool>(look));
    EXPECT_FALSE(is_free(mu));
    look.unlock();
    EXPECT_TRUE(is_free(mu));
    EXPECT_TRUE(look.try_lock());
    EXPECT_FALSE(is_free(mu));
  }
  EXPECT_TRUE(is_free(mu));
}

TEST(SharedLock, DoesNotOwnWhatItFailedToTake) {
  turnkey::rw_mutex mu;
  mu.lock();
  {
    turnkey::shared_lock look(mu, std::defer_lock);
    EXPECT_FALSE(look.try_lock());
    EXPECT_FALSE(look.owns_lock());
  }
  EXPECT_FALSE(is_free(mu));
  mu.unlock();
}

TEST(SharedLock, RefusesToLockTwiceAndToUnlockWhatItDoesNotHold) {
  turnkey::rw_mutex mu;
  turnkey::shared_lock look(mu);
  EXPECT_EQ(failure_of([&] { look.lock(); }), would_deadlock);
  EXPECT_EQ(failure_of([&] { static_cast<void>(look.try_lock()); }), would_deadlock);
  look.unlock();
  EXPECT_EQ(failure_of([&] { look.unlock(); }), not_permitted);
  EXPECT_TRUE(is_free(mu));
}

TEST(SharedLock, ReleasesWhenAnExceptionLeavesTheScope) {
  turnkey::rw_mutex mu;
  EXPECT_THROW(
      {
        const turnkey::shared_lock look(mu);
        throw std::runtime_error("x");
      },
      std::runtime_error);
  EXPECT_TRUE(is_free(mu));
}

// A guard is itself a lock that a condition_variable can give up and take back.
TEST(UniqueLock, IsGivenUpDuringAWait) {
  support::run_everywhere([](const stage& where) {
    turnkey::mutex mu;
    turnkey::condition_variable changed;
    bool is_ready = false;
    support::crew others(where);
    others.start([&] {
      turnkey::unique_lock hold(mu);
      changed.wait(hold, [&] { return is_ready; });
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_FALSE(mu.try_lock());
    });
    const turnkey::lock_guard hold(mu);
    is_ready = true;
    changed.notify_one();
  });
}
