// Waits for locks that form cycles, and some that only look so: lock_cycle CASE. Unless the case says otherwise, main goes
// on when the cycle has closed, prints "on" and ends.
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using turnkey::this_goroutine::sleep_for;

turnkey::mutex accounts;
turnkey::mutex audit_log;
turnkey::rw_mutex table;
turnkey::wait_group all;

// Until the dump shows so many that wait for a lock. Whoever closes a cycle reports it before that.
void await_waiting(int wanted) {
  for (;; sleep_for(5ms)) {
    std::ostringstream text;
    turnkey::diagnostics::dump(text);
    const std::string dumped = text.str();
    int found = 0;
    for (std::size_t at = 0; (at = dumped.find(": waits for ", at)) != std::string::npos; ++at) {
      const std::size_t line_end = dumped.find('\n', at);
      if (dumped.substr(at, line_end - at).find("mutex") != std::string::npos) ++found;
    }
    if (found >= wanted) return;
  }
}

// Locks the first, waits until all `members` of the cycle have locked theirs, and wants the second.
turnkey::wait_group first_locks;
void lock_both(turnkey::mutex& first, turnkey::mutex& second) {
  const std::scoped_lock outer(first);
  first_locks.done();
  first_locks.wait();
  const std::scoped_lock inner(second);
}

void go_on() {
  std::puts("on");
  std::fflush(stdout);
}

void in_goroutine_and_thread(const std::function<void()>& a, const std::function<void()>& b) {
  first_locks.add(2);
  all.go({.name = "one"}, a);
  std::thread(b).detach();
  await_waiting(2);
}

void around(int length) {
  static std::vector<turnkey::mutex> locks(static_cast<std::size_t>(length));
  first_locks.add(length);
  for (std::size_t i = 0; i < locks.size(); ++i) {
    all.go([i] { lock_both(locks[i], locks[(i + 1) % locks.size()]); });
  }
  await_waiting(length);
}

void read_again() {
  first_locks.add();
  all.go({.name = "reader"}, [] {
    const std::shared_lock once(table);
    first_locks.done();
    await_waiting(1);
    const std::shared_lock twice(table);
  });
  all.go({.name = "writer"}, [] {
    first_locks.wait();
    const std::scoped_lock hold(table);
  });
  await_waiting(2);
}

void read_table_and_want_accounts() {
  const std::shared_lock look(table);
  first_locks.done();
  first_locks.wait();
  const std::scoped_lock hold(accounts);
}

// One holds the table for reading and wants the mutex, the other the other way round.
void reader_and_mutex() {
  first_locks.add(2);
  all.go({.name = "reader"}, read_table_and_want_accounts);
  all.go({.name = "writer"}, [] {
    const std::scoped_lock hold(accounts);
    first_locks.done();
    first_locks.wait();
    const std::scoped_lock change(table);
  });
  await_waiting(2);
}

// The one in the middle waits for nobody that holds the table, but behind a writer, who waits for the reader. Either may be the
// last to come: `writer_comes_last`, after one with a limit has held up the reading one.
void behind_a_writer(bool writer_comes_last) {
  first_locks.add(2);
  all.go({.name = "reader"}, read_table_and_want_accounts);
  all.go({.name = "clerk"}, [] {
    const std::scoped_lock hold(accounts);
    first_locks.done();
    await_waiting(2);
    const std::shared_lock look(table);
  });
  const auto write = [] {
    first_locks.wait();  // for the reader
    const std::scoped_lock change(table);
  };
  const auto write_soon = [] {
    first_locks.wait();
    if (table.try_lock_for(1h)) table.unlock();
  };
  all.go({.name = "first writer"}, [=] { writer_comes_last ? write_soon() : write(); });
  await_waiting(3);
  if (!writer_comes_last) return;
  all.go({.name = "second writer"}, write);
  await_waiting(4);
}

// ---- No cycles ------------------------------------------------------------------------------------------------------

// One reads behind a writer that a reader keeps waiting; that one waits, too, but for something else.
[[clang::no_thread_safety_analysis]] void behind_a_writer_for_a_while() {
  turnkey::chan<int> end = turnkey::make_chan<int>();
  first_locks.add(1);
  all.go([=] {
    const std::shared_lock look(table);
    first_locks.done();
    end.recv();
    const std::scoped_lock hold(accounts);
  });
  first_locks.wait();
  accounts.lock();
  all.go([] { const std::scoped_lock change(table); });
  await_waiting(1);
  all.go([] { const std::shared_lock look(table); });
  await_waiting(2);
  end.send(1);
  await_waiting(3);
  accounts.unlock();
  all.wait();
}

// Would be a cycle, but one gives up.
void with_a_limit() {
  first_locks.add(2);
  all.go([] { lock_both(accounts, audit_log); });
  all.go([] {
    const std::scoped_lock outer(audit_log);
    first_locks.done();
    first_locks.wait();
    if (accounts.try_lock_for(100ms)) accounts.unlock();
  });
  all.wait();
}

void with_a_stop() {
  first_locks.add(2);
  std::stop_source stop;
  all.go([] { lock_both(accounts, audit_log); });
  all.go([&] {
    const std::scoped_lock outer(audit_log);
    first_locks.done();
    first_locks.wait();
    if (accounts.lock(stop.get_token())) accounts.unlock();
  });
  await_waiting(2);
  stop.request_stop();
  all.wait();
}

[[clang::no_thread_safety_analysis]] void take_table() { table.lock_shared(); }
[[clang::no_thread_safety_analysis]] void give_table_back() { table.unlock_shared(); }

// A read lock that another gives back, as Go allows: who has it is not known any more.
void given_back_by_another() {
  turnkey::chan<int> locked = turnkey::make_chan<int>();
  all.go([&] {
    take_table();
    locked.send(1);
    sleep_for(50ms);
    const std::scoped_lock change(table);
  });
  all.go([&] {
    locked.recv();
    take_table();
    give_table_back();
    give_table_back();
    const std::shared_lock look(table);
    sleep_for(100ms);
  });
  all.wait();
}

// Many who take several locks, always in the same order, with readers and writers among them.
void in_order() {
  static std::array<turnkey::rw_mutex, 8> locks;
  const auto end = std::chrono::steady_clock::now() + 300ms;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const auto work = [=] {
      unsigned luck = seed;
      while (std::chrono::steady_clock::now() < end) {
        luck = luck * 1103515245 + 12345;
        const std::size_t first = luck / 65536 % 7;
        if (luck / 4096 % 2 == 0) {
          const std::shared_lock outer(locks[first]);
          const std::scoped_lock inner(locks[first + 1]);
        } else {
          const std::scoped_lock outer(locks[first]);
          const std::shared_lock inner(locks[first + 1]);
          turnkey::this_goroutine::yield();
        }
      }
    };
    if (seed % 8 == 0) {
      std::thread([=] {
        work();
        all.done();
      }).detach();
      all.add();
    } else {
      all.go(work);
    }
  }
  all.wait();
}

}  // namespace

int main(int, char** arguments) {
  turnkey::diagnostics::name(accounts, "accounts");
  turnkey::diagnostics::name(table, "table");
  const std::map<std::string, std::function<void()>> cases{
      {"self",
       [] {
         first_locks.add();
         all.go({.name = "clerk"}, [] { lock_both(accounts, accounts); });
         await_waiting(1);
       }},
      {"self, a thread",
       [] {
         first_locks.add();
         std::thread([] { lock_both(accounts, accounts); }).detach();
         await_waiting(1);
       }},
      {"upgrade",
       [] {
         all.go({.name = "clerk"}, [] {
           const std::shared_lock look(table);
           const std::scoped_lock change(table);
         });
         await_waiting(1);
       }},
      {"write, then read",
       [] {
         all.go({.name = "clerk"}, [] {
           const std::scoped_lock change(table);
           const std::shared_lock look(table);
         });
         await_waiting(1);
       }},
      {"two",
       [] {
         first_locks.add(2);
         all.go({.name = "transfer"}, [] { lock_both(accounts, audit_log); });
         all.go({.name = "audit"}, [] { lock_both(audit_log, accounts); });
         await_waiting(2);
       }},
      {"a goroutine and a thread",
       [] { in_goroutine_and_thread([] { lock_both(accounts, audit_log); }, [] { lock_both(audit_log, accounts); }); }},
      {"a hundred", [] { around(100); }},
      {"read again", read_again},
      {"reader and mutex", reader_and_mutex},
      {"behind a writer", [] { behind_a_writer(false); }},
      {"behind a writer, who comes last", [] { behind_a_writer(true); }},
      {"behind a writer for a while", behind_a_writer_for_a_while},
      {"with a limit", with_a_limit},
      {"with a stop", with_a_stop},
      {"given back by another", given_back_by_another},
      {"in order", in_order},
      {"nobody else",
       [] {
         first_locks.add();
         all.go({.name = "clerk"}, [] { lock_both(accounts, accounts); });
         all.wait();
       }},
  };
  cases.at(arguments[1])();
  go_on();
  std::_Exit(0);
}
