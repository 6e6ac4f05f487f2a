// What a trace is to show: trace CASE. The trace is for TURNKEY_TRACE to ask for, except where it says otherwise.
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using turnkey::diagnostics::read_trace;
using turnkey::diagnostics::trace_event;
using kind = trace_event::kind;

turnkey::mutex accounts;
turnkey::rw_mutex prices;

// Locked in one function and unlocked in another, or never.
[[clang::no_thread_safety_analysis]] void keep_locked() { accounts.lock(); }
[[clang::no_thread_safety_analysis]] void unlock_what_is_kept() { accounts.unlock(); }

// Until so many wait for it.
void await_waits_for(const void* object, int many) {
  for (;;) {
    const auto events = read_trace();
    const auto waits = std::count_if(events.begin(), events.end(), [object](const trace_event& event) {
      return event.what == kind::waits && event.object == object;
    });
    if (waits >= many) return;
    turnkey::this_goroutine::yield();
    if (turnkey::this_goroutine::get_id() == 0) std::this_thread::sleep_for(1ms);
  }
}

template <class F>
void in_goroutine(const char* name, F f) {
  turnkey::wait_group one;
  one.go({.name = name}, std::move(f));
  one.wait();
}

// One holds it, the other waits for it.
void contend(const std::string& lock, const std::string& first, const std::string& second) {
  turnkey::diagnostics::name(accounts, lock);
  turnkey::wait_group all;
  all.go({.name = first}, [&] {
    const std::scoped_lock hold(accounts);
    all.go({.name = second}, [] { const std::scoped_lock hold_next(accounts); });
    await_waits_for(&accounts, 1);
  });
  all.wait();
}

void readers() {
  turnkey::diagnostics::name(prices, "prices");
  turnkey::wait_group all;
  turnkey::chan<int> is_reading = turnkey::make_chan<int>();
  for (int i = 0; i < 2; ++i) {
    all.go({.name = "reader"}, [&] {
      const std::shared_lock hold(prices);
      is_reading.send(0);
      await_waits_for(&prices, 1);
    });
  }
  all.go({.name = "writer"}, [&] {
    is_reading.recv();
    is_reading.recv();
    const std::unique_lock hold(prices);
  });
  all.wait();
}

void thread_waits() {
  in_goroutine("owner", [] {
    accounts.lock();
    std::thread other([] { const std::scoped_lock hold(accounts); });
    await_waits_for(&accounts, 1);
    accounts.unlock();
    turnkey::blocking([&] { other.join(); });
  });
}

// Taken as A, B and let go as A, B; then one unlocks what another has locked.
void across() {
  turnkey::diagnostics::name(accounts, "A");
  turnkey::diagnostics::name(prices, "B");
  in_goroutine("across", [] {
    accounts.lock();
    prices.lock();
    accounts.unlock();
    prices.unlock();
    keep_locked();
  });
  in_goroutine("another", unlock_what_is_kept);
  in_goroutine("third", [] { const std::scoped_lock hold(accounts); });
}

void timers_and_stops() {
  in_goroutine("sleeper", [] { turnkey::this_goroutine::sleep_for(2ms); });
  in_goroutine("stopper", [] {
    std::stop_source stop;
    turnkey::wait_group stopped;
    const std::scoped_lock hold(accounts);
    stopped.go({.name = "stopped"}, [&] { static_cast<void>(accounts.lock(stop.get_token())); });
    await_waits_for(&accounts, 1);
    stop.request_stop();
    stopped.wait();
  });
}

void overwrite() {
  turnkey::wait_group ready;
  ready.add();
  static turnkey::chan<int> never = turnkey::make_chan<int>();
  turnkey::go({.name = "waits for ever"}, [&] {
    ready.done();
    never.recv();
  });
  ready.wait();
  in_goroutine("busy", [] {
    for (int i = 0; i < 1000; ++i) turnkey::diagnostics::mark("busy", i);
  });
}

void deadlock() {
  keep_locked();
  in_goroutine("patient", keep_locked);
}

// Others record all the while.
void panic_in_a_crowd() {
  for (int i = 0; i < 3; ++i) {
    turnkey::go([] {
      for (;;) {
        const std::scoped_lock hold(accounts);
        turnkey::this_goroutine::yield();
      }
    });
  }
  in_goroutine("thrower", [] {
    for (int i = 0; i < 200; ++i) turnkey::this_goroutine::yield();
    throw std::runtime_error("enough");
  });
}

void old_and_new() {
  turnkey::diagnostics::mark("old");
  in_goroutine("old", [] {});
  std::this_thread::sleep_for(300ms);
  turnkey::diagnostics::mark("new");
}

void leave_others_running() {
  turnkey::wait_group started;
  started.add(2);
  turnkey::go({.name = "spins"}, [&] {
    started.done();
    for (;;) turnkey::this_goroutine::yield();
  });
  turnkey::go({.name = "holds"}, [&] {
    keep_locked();
    started.done();
    turnkey::this_goroutine::sleep_for(1h);
  });
  started.wait();
}

void fork_a_child() {
  const std::string path = std::getenv("TURNKEY_TRACE");
  if (fork() == 0) std::exit(0);
  wait(nullptr);
  std::printf("after the child: %ju bytes\n", std::uintmax_t{std::filesystem::file_size(path)});
}

void say_what_is_recorded() {
  in_goroutine("one", [] { turnkey::diagnostics::mark("nobody reads this"); });
  std::printf("%zu events, started: %d, written: %d\n", read_trace().size(), turnkey::diagnostics::start_trace(),
              turnkey::diagnostics::write_trace("/dev/null"));
}

void start_by_itself() {
  const std::scoped_lock hold(accounts);  // before
  std::printf("started: %d, again: %d\n", turnkey::diagnostics::start_trace(), turnkey::diagnostics::start_trace());
  in_goroutine("one", [] {});
  std::printf("%d\n", read_trace().size() >= 4);
  turnkey::mutex mu;
  for (int i = 0; i < 3; ++i) const std::scoped_lock again(mu);
  std::printf("locks: %td\n", std::ranges::count_if(read_trace(), [&mu](const turnkey::diagnostics::trace_event& each) {
                return each.what == turnkey::diagnostics::trace_event::kind::locks && each.object == &mu;
              }));
}

void write_here() {
  contend("accounts", "owner", "patient");
  std::printf("written: %d, to nowhere: %d\n", turnkey::diagnostics::write_trace(std::getenv("TRACE_HERE")),
              turnkey::diagnostics::write_trace("/nonexistent/folder/x.json"));
}

const std::map<std::string, std::function<void()>> cases{
    {"contend", [] { contend("accounts", "owner", "patient"); }},
    {"odd names",
     [] {
       turnkey::diagnostics::mark("tab\t \"quoted\" back\\slash \x01\x7f");
       turnkey::diagnostics::mark("\xff\xc3 \xed\xa0\x80 caf\xc3\xa9 \xf0\x9f\x94\x91", -7);
       contend("\"\\\n\x1f\xfe", "\x02\"\xc3", std::string(40, '\xe2'));
     }},
    {"readers", readers},
    {"thread waits", thread_waits},
    {"across", across},
    {"timers and stops", timers_and_stops},
    {"overwrite", overwrite},
    {"deadlock", deadlock},
    {"panic in a crowd", panic_in_a_crowd},
    {"old and new", old_and_new},
    {"others running", leave_others_running},
    {"exit in goroutine", [] { in_goroutine("leaver", [] { std::exit(3); }); }},
    {"fork", fork_a_child},
    {"off", say_what_is_recorded},
    {"by itself", start_by_itself},
    {"on demand", write_here},
};

}  // namespace

int main(int count, char** arguments) {
  cases.at(count > 1 ? arguments[1] : "")();
  std::puts("end");
}
