// What the gdb test looks at: goroutines that all wait, each for something else, and a breakpoint to stop at then.
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <turnkey/turnkey.hpp>

#include "runtime/goroutine_pool.hpp"

namespace {

turnkey::mutex accounts;
turnkey::rw_mutex prices;
turnkey::wait_group finished;
turnkey::chan<int> jobs = turnkey::make_chan<int>(4);
turnkey::mutex nobodys;
turnkey::rw_mutex read_by_two;  // counted on their CPUs, where that can be
turnkey::rw_mutex read_by_none;

[[gnu::noinline]] int take_a_job(int number_of_owner) {
  const std::optional<int> job = jobs.recv();
  return job.value_or(number_of_owner);
}

[[gnu::noinline]] void transfer(int amount) {
  std::scoped_lock hold(accounts);
  finished.add(amount);
}

[[gnu::noinline]] void change_prices() { std::scoped_lock hold(prices); }

[[clang::no_thread_safety_analysis]] void own() {
  std::scoped_lock hold(accounts);
  prices.lock_shared();
  static_cast<void>(take_a_job(4711));
}

[[clang::no_thread_safety_analysis]] void read_often(turnkey::rw_mutex& mu) {
  for (int i = 0; i < 1000; ++i) mu.lock_shared(), mu.unlock_shared();
}

bool do_all_wait() {
  int waiting = 0;
  for (std::uint32_t i = 0; i < turnkey::runtime::goroutine_pool::record_count(); ++i) {
    const auto* const w = turnkey::runtime::goroutine_pool::record(i).waiting();
    if (w != nullptr && w->load_state() == turnkey::parking::waiter::state::parked) ++waiting;
  }
  return waiting == 4;
}

}  // namespace

extern "C" [[gnu::noinline]] void stop_here() { asm volatile(""); }

[[clang::no_thread_safety_analysis]] int main() {
  { const std::scoped_lock once(nobodys); }
  for (auto* const mu : {&read_by_two, &read_by_none}) read_often(*mu);
  for (int i = 0; i < 2; ++i) read_by_two.lock_shared();
  finished.add(3);
  turnkey::go({.name = "owner"}, own);
  while (accounts.try_lock()) {
    accounts.unlock();
    turnkey::this_goroutine::yield();
  }
  for (const char* name : {"teller 1", "teller 2"}) turnkey::go({.name = name}, transfer, 50);
  turnkey::go({.name = "manager"}, change_prices);
  while (!do_all_wait()) turnkey::this_goroutine::yield();
  stop_here();
  std::abort();
}
