// Takes locks in several orders, or holds them for long: lock_watch CASE. Prints "end".
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

turnkey::mutex accounts;
turnkey::mutex audit_log;
turnkey::mutex gate;
turnkey::mutex third;
turnkey::rw_mutex table;
turnkey::rw_mutex index_of_table;

// One after the other, so that nothing can deadlock.
void in_goroutine(const char* name, const std::function<void()>& f) {
  turnkey::wait_group one;
  one.go({.name = name}, f);
  one.wait();
}

template <class Outer, class Inner>
void nest(Outer& outer, Inner& inner) {
  const std::scoped_lock hold_outer(outer);
  const std::scoped_lock hold_inner(inner);
}

void nest_readers(turnkey::rw_mutex& outer, turnkey::rw_mutex& inner) {
  const std::shared_lock hold_outer(outer);
  const std::shared_lock hold_inner(inner);
}

void under_the_gate(turnkey::mutex& outer, turnkey::mutex& inner) {
  const std::scoped_lock hold(gate);
  nest(outer, inner);
}

// Fresh locks at the same addresses, in the other order.
void on_the_stack(bool is_reversed) {
  turnkey::mutex a;
  turnkey::mutex b;
  is_reversed ? nest(b, a) : nest(a, b);
}

// A goroutine that takes two locks, one inside the other, each time that it is told to; the same one each time.
class nester {
 public:
  template <class Outer, class Inner>
  nester(const char* name, Outer& outer, Inner& inner) {
    turnkey::go({.name = name}, [this, &outer, &inner] {
      for ([[maybe_unused]] const int each : orders_) {
        nest(outer, inner);
        done_.send(0);
      }
    });
  }
  void go_on() const {
    orders_.send(0);
    done_.recv();
  }

 private:
  turnkey::chan<int> orders_ = turnkey::make_chan<int>();
  turnkey::chan<int> done_ = turnkey::make_chan<int>();
};

// An order with a lock whose memory is another lock's later. `use_first`: how the later one is locked for the first time.
void make_anew(const std::function<void(turnkey::mutex&)>& use_first) {
  static std::optional<turnkey::mutex> second;
  second.emplace();
  for (int i = 0; i < 3; ++i) nest(accounts, *second);
  second.reset();
  second.emplace();
  use_first(*second);
  in_goroutine("back", [] { nest(*second, accounts); });
  std::fputs("so far nothing\n", stderr);
  nest(accounts, *second);
}

// Of a lock that another unlocks.
[[clang::no_thread_safety_analysis]] void lock(turnkey::mutex& mu) { mu.lock(); }
[[clang::no_thread_safety_analysis]] void unlock(turnkey::mutex& mu) { mu.unlock(); }

void hold_asleep() {
  const std::scoped_lock hold(accounts);
  turnkey::this_goroutine::sleep_for(400ms);
}

void hold_busy() {
  const std::shared_lock hold(table);
  const auto end = std::chrono::steady_clock::now() + 400ms;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

int main(int, char** arguments) {
  turnkey::diagnostics::name(accounts, "accounts");
  turnkey::diagnostics::name(table, "table");
  const std::map<std::string, std::function<void()>> cases{
      {"two orders",
       [] {
         in_goroutine("there", [] { nest(accounts, audit_log); });
         in_goroutine("back", [] { nest(audit_log, accounts); });
         in_goroutine("there again", [] { nest(accounts, audit_log); });
         in_goroutine("back again", [] { nest(audit_log, accounts); });
       }},
      {"two orders, a thread",
       [] {
         in_goroutine("there", [] { nest(accounts, audit_log); });
         std::thread([] { nest(audit_log, accounts); }).join();
       }},
      {"around",
       [] {
         in_goroutine("one", [] { nest(accounts, audit_log); });
         in_goroutine("two", [] { nest(audit_log, third); });
         in_goroutine("three", [] { nest(third, accounts); });
       }},
      {"reader and writer",
       [] {
         in_goroutine("reader", [] {
           const std::shared_lock look(table);
           const std::scoped_lock hold(accounts);
         });
         in_goroutine("writer", [] { nest(accounts, table); });
       }},
      {"one alone",
       [] {
         nest(accounts, audit_log);
         nest(audit_log, accounts);
       }},
      {"a gate",
       [] {
         in_goroutine("there", [] { under_the_gate(accounts, audit_log); });
         in_goroutine("back", [] { under_the_gate(audit_log, accounts); });
       }},
      {"readers",
       [] {
         in_goroutine("there", [] { nest_readers(table, index_of_table); });
         in_goroutine("back", [] { nest_readers(index_of_table, table); });
       }},
      {"both at once",
       [] {
         in_goroutine("there", [] { const std::scoped_lock both(accounts, audit_log); });
         in_goroutine("back", [] { const std::scoped_lock both(audit_log, accounts); });
       }},
      {"tried",
       [] {
         in_goroutine("there", [] { nest(accounts, audit_log); });
         in_goroutine("back", [] {
           const std::scoped_lock hold(audit_log);
           if (accounts.try_lock()) accounts.unlock();
           if (accounts.try_lock_for(1ms)) accounts.unlock();
         });
       }},
      {"on the stack",
       [] {
         for (int i = 0; i < 20; ++i) in_goroutine("one", [i] { on_the_stack(i % 2 == 1); });
       }},
      {"renamed while one is held",
       [] {
         static nester back("back", third, accounts);
         turnkey::diagnostics::name(third, "pair");
         back.go_on();
         for (int i = 0; i < 3; ++i) nest(accounts, audit_log);
         const std::scoped_lock hold(accounts);
         turnkey::diagnostics::name(audit_log, "pair");
         const std::scoped_lock hold_inner(audit_log);
       }},
      {"renamed, and back",
       [] {
         static nester back("back", third, accounts);
         for (int i = 0; i < 3; ++i) {
           nest(accounts, audit_log);
           back.go_on();
         }
         turnkey::diagnostics::name(audit_log, "pair");
         turnkey::diagnostics::name(third, "pair");
         nest(accounts, audit_log);
         back.go_on();
       }},
      {"made anew", [] { make_anew([](turnkey::mutex&) {}); }},
      {"made anew, tried",
       [] {
         make_anew([](turnkey::mutex& mu) {
           if (mu.try_lock()) mu.unlock();
         });
       }},
      {"made anew, within a time",
       [] {
         make_anew([](turnkey::mutex& mu) {
           if (mu.try_lock_for(1s)) mu.unlock();
         });
       }},
      {"a gate that another opens",
       [] {
         const auto under_both = [](const std::function<void()>& between) {
           lock(gate);
           const std::scoped_lock hold(accounts);
           between();
           const std::scoped_lock hold_inner(audit_log);
         };
         for (int i = 0; i < 3; ++i) {
           under_both([] {});
           unlock(gate);
         }
         in_goroutine("back", [] { under_the_gate(audit_log, accounts); });
         std::fputs("so far nothing\n", stderr);
         under_both([] { in_goroutine("opener", [] { unlock(gate); }); });
       }},
      {"unlocked by another",
       [] {
         for (int i = 0; i < 3; ++i) {
           lock(gate);
           in_goroutine("opener", [] { unlock(gate); });
           nest(accounts, audit_log);
         }
         in_goroutine("back", [] { nest(accounts, gate); });
       }},
      {"hand over hand",
       [] {
         for (int i = 0; i < 3; ++i) {
           accounts.lock();
           audit_log.lock();
           accounts.unlock();
           third.lock();
           audit_log.unlock();
           third.unlock();
         }
         in_goroutine("back", [] { nest(third, accounts); });
       }},
      {"after a wait",
       [] {
         audit_log.lock();
         turnkey::wait_group there;
         there.go({.name = "there"}, [] { nest(accounts, audit_log); });
         turnkey::this_goroutine::sleep_for(10ms);
         audit_log.unlock();
         there.wait();
         nest(audit_log, accounts);
       }},
      {"very many",
       [] {
         static std::vector<turnkey::mutex> locks(2'000);
         const auto take_all = [] {
           std::vector<std::unique_lock<turnkey::mutex>> held;
           for (turnkey::mutex& each : locks) held.emplace_back(each);
         };
         in_goroutine("one", take_all);
         in_goroutine("two", take_all);
       }},
      {"asleep", [] { in_goroutine("sleeper", hold_asleep); }},
      {"busy", [] { in_goroutine("worker", hold_busy); }},
      {"a thread", [] { std::thread(hold_asleep).join(); }},
      {"short",
       [] {
         for (int i = 0; i < 1000; ++i) in_goroutine("one", [] { nest(accounts, table); });
       }},
      {"slow wait",
       [] {
         turnkey::wait_group both;
         both.go({.name = "holder"}, hold_asleep);
         both.go({.name = "waiter"}, [] {
           turnkey::this_goroutine::sleep_for(10ms);
           const std::scoped_lock hold(accounts);
         });
         both.wait();
       }},
  };
  cases.at(arguments[1])();
  std::puts("end");
}
