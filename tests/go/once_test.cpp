// Go's tests of sync.Once, OnceFunc and OnceValue.
#include <turnkey/once.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "support.hpp"

using support::stage;

// TestOnce: ten callers, each sees that it has happened once.
TEST(GoOnce, HasRunWhenAnyCallReturns) {
  support::run_everywhere([](const stage& where) {
    turnkey::once once;
    int counter = 0;
    {
      support::crew others(where);
      for (int i = 0; i < 10; ++i) {
        others.start([&] {
          once.call([&] { ++counter; });
          EXPECT_EQ(counter, 1);
        });
      }
    }
    EXPECT_EQ(counter, 1);
  });
}

// TestOncePanic.
TEST(GoOnce, RunsNothingAfterAFunctionThatThrew) {
  turnkey::once once;
  EXPECT_THROW(once.call([] { throw std::runtime_error("failed"); }), std::runtime_error);
  once.call([] { FAIL() << "ran again"; });
}

// TestOnceFunc.
TEST(GoOnceFunc, RunsOnce) {
  int calls = 0;
  const auto f = turnkey::once_func([&] { ++calls; });
  f();
  f();
  EXPECT_EQ(calls, 1);
}

// TestOnceValue.
TEST(GoOnceValue, ReturnsWhatTheOneCallReturned) {
  int calls = 0;
  const auto f = turnkey::once_value([&] { return ++calls; });
  f();
  EXPECT_EQ(f(), 1);
  EXPECT_EQ(calls, 1);
}

// TestOnceFuncPanic, TestOnceValuePanic: the same value every time, from one call.
TEST(GoOnceFunc, ThrowsTheSameAtEveryCall) {
  const auto thrice = [](const auto& f, const int& calls) {
    for (int i = 0; i < 3; ++i) {
      try {
        static_cast<void>(f());
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::string& what) {
        EXPECT_EQ(what, "x");
      }
      EXPECT_EQ(calls, 1);
    }
  };
  int calls = 0;
  thrice(turnkey::once_func([&] {
           ++calls;
           throw std::string("x");
         }),
         calls);
  calls = 0;
  thrice(turnkey::once_value([&]() -> int {
           ++calls;
           throw std::string("x");
         }),
         calls);
}

// TestOnceXGC: what the function captured is free after the first call, whether it returned or threw.
TEST(GoOnceFunc, LetsGoOfItsCapturesAfterTheFirstCall) {
  for (const bool fails : {false, true}) {
    auto captured = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = captured;
    const auto f = turnkey::once_func([captured, fails] {
      if (fails) throw std::string("x");
    });
    const auto g = turnkey::once_value([captured, fails] {
      if (fails) throw std::string("x");
      return *captured;
    });
    captured.reset();
    EXPECT_FALSE(watch.expired());
    try {
      f();
    } catch (const std::string&) {
    }
    EXPECT_FALSE(watch.expired());
    try {
      g();
    } catch (const std::string&) {
    }
    EXPECT_TRUE(watch.expired());
  }
}
