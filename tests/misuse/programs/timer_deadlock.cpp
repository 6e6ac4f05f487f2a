// timer_deadlock WAY: everybody waits, and the timers there are cannot wake anybody.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

namespace {

turnkey::wait_group never;

void wait_on(const turnkey::receiver<std::chrono::steady_clock::time_point>& channel) { channel.recv(); }

// There are timers, and nobody waits on them.
void timers_that_nobody_waits_on() {
  const turnkey::timer timer(1h);
  const turnkey::timer due(1ms);
  const turnkey::ticker every(1h);
  const auto later = turnkey::after(1h);
  turnkey::go({.name = "patient"}, [] { never.wait(); });
  never.wait();
}

void fast_ticker_that_nobody_waits_on() {
  const turnkey::ticker every(1us);
  every.channel().recv();
  never.wait();
}

void stopped_timer() {
  turnkey::timer timer(1h);
  timer.stop();
  turnkey::go({.name = "patient"}, [channel = timer.channel()] { wait_on(channel); });
  wait_on(timer.channel());
}

// It stops while they wait.
void timer_stopped_under_way() {
  turnkey::timer timer(1h);
  turnkey::go({.name = "patient"}, [channel = timer.channel()] { wait_on(channel); });
  turnkey::go([&] {
    turnkey::this_goroutine::sleep_for(10ms);
    timer.stop();
  });
  wait_on(timer.channel());
}

void stopped_ticker_in_select() {
  turnkey::ticker every(1h);
  every.stop();
  turnkey::select(turnkey::on_recv(every.channel(), [] {}), turnkey::on_recv(turnkey::chan<int>(), [] {}));
}

void tick_received_already() {
  const auto channel = turnkey::after(1ms);
  wait_on(channel);
  wait_on(channel);
}

void destroyed_timer() {
  auto timer = std::make_unique<turnkey::timer>(1h);
  const auto channel = timer->channel();
  timer.reset();
  wait_on(channel);
}

void stopped_call() {
  auto call = turnkey::run_after(1h, [] { never.done(); });
  call.stop();
  never.wait();
}

// The call came, and did not help.
void call_that_has_run() {
  turnkey::run_after(1ms, [] {});
  never.wait();
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  never.add();
  if (way == "timers that nobody waits on") timers_that_nobody_waits_on();
  if (way == "fast ticker that nobody waits on") fast_ticker_that_nobody_waits_on();
  if (way == "stopped timer") stopped_timer();
  if (way == "timer stopped under way") timer_stopped_under_way();
  if (way == "stopped ticker in select") stopped_ticker_in_select();
  if (way == "tick received already") tick_received_already();
  if (way == "destroyed timer") destroyed_timer();
  if (way == "stopped call") stopped_call();
  if (way == "call that has run") call_that_has_run();
  std::puts("went on");
}
