#include <turnkey/wait_limit.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <ratio>
#include <stop_token>
#include <type_traits>

using namespace std::chrono_literals;
using turnkey::stop_watch;
using turnkey::wait_limit;

static_assert(wait_limit().is_unlimited());
static_assert(std::is_trivially_copyable_v<wait_limit>);
static_assert(sizeof(wait_limit) <= 2 * sizeof(void*));
static_assert(!std::is_copy_constructible_v<stop_watch> && !std::is_copy_assignable_v<stop_watch>);

namespace {

using steady = std::chrono::steady_clock;
using wall = std::chrono::system_clock;
using float_hours = std::chrono::duration<float, std::ratio<3600>>;

std::int64_t now() { return std::chrono::nanoseconds(steady::now().time_since_epoch()).count(); }

// A clock that has nothing to do with any other, to see that only its distance from its own now counts.
struct odd_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<odd_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() { return time_point(1000ms); }
};

}  // namespace

TEST(WaitLimit, LiesAsFarFromNowAsTheDurationSays) {
  const std::int64_t before = now();
  const wait_limit limit = wait_limit::after(2s);
  const std::int64_t after = now();
  EXPECT_GE(limit.deadline(), before + 2'000'000'000);
  EXPECT_LE(limit.deadline(), after + 2'000'000'000);
  EXPECT_FALSE(limit.is_unlimited());
  EXPECT_EQ(limit.watch(), nullptr);
}

TEST(WaitLimit, RoundsUpToWholeNanoseconds) {
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  const std::int64_t before = now();
  EXPECT_GT(wait_limit::after(picoseconds(1)).deadline(), before);
  EXPECT_GT(wait_limit::after(std::chrono::duration<double, std::nano>(0.25)).deadline(), before);
}

TEST(WaitLimit, TakesATimeOfTheSteadyClockAsItIs) {
  EXPECT_EQ(wait_limit::until(steady::time_point(12'345ns)).deadline(), 12'345);
  const std::chrono::time_point<steady, std::chrono::hours> coarse(7h);
  EXPECT_EQ(wait_limit::until(coarse).deadline(), std::chrono::nanoseconds(7h).count());
}

TEST(WaitLimit, ConvertsOtherClocksByTheirDistanceFromNow) {
  std::int64_t before = now();
  wait_limit limit = wait_limit::until(odd_clock::now() + 5s);
  EXPECT_GE(limit.deadline(), before + 5'000'000'000);
  EXPECT_LE(limit.deadline(), now() + 5'000'000'000);
  EXPECT_LE(wait_limit::until(odd_clock::now() - 5s).deadline(), now());

  before = now();
  limit = wait_limit::until(wall::now() + 1h);
  EXPECT_GE(limit.deadline(), before);
  EXPECT_LE(limit.deadline(), now() + std::chrono::nanoseconds(1h).count());
  EXPECT_LE(wait_limit::until(wall::now() - 1h).deadline(), now());
}

TEST(WaitLimit, IsUnlimitedWhereTheDurationDoesNotFit) {
  EXPECT_TRUE(wait_limit::after(std::chrono::hours::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::after(std::chrono::nanoseconds::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::after(float_hours::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::after(float_hours(std::numeric_limits<float>::infinity())).is_unlimited());
  EXPECT_TRUE(wait_limit::until(steady::time_point::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::until(std::chrono::time_point<steady, std::chrono::hours>::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::until(std::chrono::time_point<wall, std::chrono::hours>::max()).is_unlimited());
  EXPECT_TRUE(wait_limit::until(odd_clock::time_point::max()).is_unlimited());
}

TEST(WaitLimit, IsOverWhereTheTimeHasPassed) {
  EXPECT_LE(wait_limit::after(0s).deadline(), now());
  EXPECT_LE(wait_limit::after(-1ns).deadline(), now());
  EXPECT_LE(wait_limit::after(std::chrono::hours::min()).deadline(), now());
  EXPECT_LE(wait_limit::after(std::chrono::nanoseconds::min()).deadline(), now());
  EXPECT_LE(wait_limit::after(float_hours(-std::numeric_limits<float>::infinity())).deadline(), now());
  EXPECT_LE(wait_limit::until(steady::time_point::min()).deadline(), now());
  EXPECT_LE(wait_limit::until(std::chrono::time_point<steady, std::chrono::hours>::min()).deadline(), now());
  EXPECT_LE(wait_limit::until(odd_clock::time_point::min()).deadline(), now());
}

// The subtraction "when - now" must not overflow, in whatever unit `when` is.
TEST(WaitLimit, IsOverWhereTheTimeIsTheEarliestThatAClockCanSay) {
  EXPECT_LE(wait_limit::until(wall::time_point::min()).deadline(), now());
  EXPECT_LE(wait_limit::until(std::chrono::time_point<wall, std::chrono::hours>::min()).deadline(), now());
}

TEST(WaitLimit, KeepsItsTimeBesideAStop) {
  const std::stop_source source;
  stop_watch watch(source.get_token());
  EXPECT_FALSE(wait_limit::stopped_by(watch).is_unlimited());
  EXPECT_EQ(wait_limit::stopped_by(watch).deadline(), wait_limit::forever);
  EXPECT_EQ(wait_limit::stopped_by(watch).watch(), &watch);
  const wait_limit both = wait_limit::until(steady::time_point(5ns)).or_stopped_by(watch);
  EXPECT_EQ(both.deadline(), 5);
  EXPECT_EQ(both.watch(), &watch);
}

TEST(StopWatch, IsRaisedOnceAStopWasRequested) {
  std::stop_source source;
  const stop_watch early(source.get_token());
  EXPECT_FALSE(early.is_raised());
  source.request_stop();
  EXPECT_TRUE(early.is_raised());
  const stop_watch late(source.get_token());
  EXPECT_TRUE(late.is_raised());
}

TEST(StopWatch, IsNeverRaisedWithoutAStop) {
  const stop_watch of_nothing{std::stop_token()};
  EXPECT_FALSE(of_nothing.is_raised());
  auto source = std::make_unique<std::stop_source>();
  const stop_watch orphan(source->get_token());
  source.reset();
  EXPECT_FALSE(orphan.is_raised());
}
