// W12: a goroutine that waits for ever on a channel that nobody will use, while the rest of the program goes on.
//
// In Go: the same leak, and the same silence; the goroutine shows in the dump of SIGQUIT or in the goroutine profile. No
// deadlock is reported, since others run. Every request that times out leaves one more of these behind, each with its stack.
// Ask for a dump when a program grows: diagnostics::dump, or `kill -QUIT`. It says since when they wait, and who started
// them. The cure here is a channel with room for one value, so that the answer can be left behind.
#include <chrono>
#include <iostream>
#include <string>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

void look_up(const turnkey::chan<std::string>& answer) {
  turnkey::this_goroutine::sleep_for(50ms);  // a slow server
  answer.send("found");                      // nobody receives any more
}

std::string ask_with_patience(std::chrono::milliseconds patience) {
  auto answer = turnkey::make_chan<std::string>();  // the cure: make_chan<std::string>(1)
  turnkey::go({.name = "look_up"}, look_up, answer);
  std::string text = "no answer in time";
  turnkey::select(turnkey::on_recv(answer, [&](std::optional<std::string> found) { text = *found; }),
                  turnkey::on_timeout(patience, [] {}));
  return text;
}

}  // namespace

int main() {
  std::cout << ask_with_patience(1s) << '\n';
  std::cout << ask_with_patience(1ms) << '\n';
  turnkey::this_goroutine::sleep_for(300ms);  // the rest of the program goes on
  turnkey::diagnostics::dump(std::cout);
}
