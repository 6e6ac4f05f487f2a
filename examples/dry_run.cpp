// S13: the dry run. Two goroutines want one mutex; the table that one would draw on paper, step by step, is printed from what
// was recorded while they ran.
//
// In Go: runtime/trace, and a program that reads it. With TURNKEY_TRACE=trace.json the same is in a file for Perfetto.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;
using turnkey::diagnostics::trace_event;

turnkey::mutex mu;  // guards value
int value = 0;

void add_one() {
  const std::scoped_lock hold(mu);
  const int seen = value;
  turnkey::this_goroutine::sleep_for(50ms);  // long enough for the other one to come
  value = seen + 1;
  turnkey::diagnostics::mark("value", value);
}

struct table {
  std::string state = "free";
  long long shown_value = 0;
  int steps = 0;
  std::uint64_t goroutines[2] = {};  // in the order in which they appear

  int column_of(std::uint64_t goroutine) {
    if (goroutines[0] == 0) goroutines[0] = goroutine;
    if (goroutines[0] != goroutine) goroutines[1] = goroutine;
    return goroutines[0] == goroutine ? 1 : 2;
  }
  void print(int column, const std::string& what) {
    std::printf("%4d | %-16s | %-16s | %-9s | %lld\n", ++steps, column == 1 ? what.c_str() : "",
                column == 2 ? what.c_str() : "", state.c_str(), shown_value);
  }
  void add(const trace_event& event) {
    using kind = trace_event::kind;
    const bool is_ours = event.object == &mu || (event.what == kind::counts && event.name == "value");
    if (!is_ours || event.who.goroutine == 0) return;
    const int column = column_of(event.who.goroutine);
    if (event.what == kind::waits) print(column, "is blocked");
    if (event.what == kind::locks) state = "held by " + std::to_string(column), print(column, "locks");
    if (event.what == kind::counts) shown_value = event.value, print(column, "stores " + std::to_string(event.value));
    if (event.what == kind::unlocks) state = "free", print(column, "unlocks");
  }
};

}  // namespace

int main() {
  if (!turnkey::diagnostics::start_trace()) return 1;
  turnkey::wait_group adders;
  for (int i = 0; i < 2; ++i) adders.go(add_one);
  adders.wait();

  std::puts("step | goroutine 1      | goroutine 2      | mutex     | value");
  table dry_run;
  for (const trace_event& event : turnkey::diagnostics::read_trace()) dry_run.add(event);
}
