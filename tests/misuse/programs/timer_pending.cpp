// timer_pending WAY: everybody waits, for a while, and only a timer can wake them. Says "done" at the end.
#include <chrono>
#include <cstdio>
#include <string_view>

#include <turnkey/turnkey.hpp>

using namespace std::chrono_literals;

namespace {

// Long enough for a hasty detector to come to its verdict.
constexpr auto a_while = 1000ms;

turnkey::wait_group done;

void wait_for_tick() { turnkey::after(a_while).recv(); }

void wait_for_ticks() {
  const turnkey::ticker every(a_while / 4);
  for (int i = 0; i < 4; ++i) every.channel().recv();
}

void wait_in_select() {
  const turnkey::timer first(a_while);
  const turnkey::timer second(1h);
  turnkey::select(turnkey::on_recv(second.channel(), [] {}), turnkey::on_recv(first.channel(), [] {}));
}

// Somebody waits for a timer that was stopped, and a call will start it again.
void wait_for_reset() {
  turnkey::timer timer(1h);
  timer.stop();
  turnkey::run_after(a_while, [&] { timer.reset(1ms); });
  timer.channel().recv();
}

void in_goroutine(void (*wait)()) {
  done.go(wait);
  done.wait();
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  // On main there is no goroutine at all: the timers have to see to it themselves that somebody is up.
  if (way == "tick on main") wait_for_tick();
  if (way == "ticks on main") wait_for_ticks();
  if (way == "select on main") wait_in_select();
  if (way == "reset on main") wait_for_reset();
  if (way == "tick in goroutine") in_goroutine(wait_for_tick);
  if (way == "ticks in goroutine") in_goroutine(wait_for_ticks);
  if (way == "select in goroutine") in_goroutine(wait_in_select);
  if (way == "reset in goroutine") in_goroutine(wait_for_reset);
  if (way == "call") {
    done.add();
    turnkey::run_after(a_while, [] { done.done(); });
    done.wait();
  }
  if (way == "call made by a call") {
    done.add();
    turnkey::run_after(a_while / 2, [] { turnkey::run_after(a_while / 2, [] { done.done(); }); });
    done.wait();
  }
  std::puts("done");
}
