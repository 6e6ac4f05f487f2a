// chan_deadlock WAY: everybody waits for channels, and nobody can ever wake them.
#include <cstdio>
#include <string_view>

#include <turnkey/turnkey.hpp>

#include <turnkey/chan.hpp>
#include <turnkey/select.hpp>

namespace {

using turnkey::chan;
using turnkey::go;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;

// Somebody for each reason to wait, named after it.
void every_reason() {
  static const auto empty = make_chan<int>();
  static const auto full = make_chan<int>(2);
  static const chan<int> nil;
  full.send(1);
  full.send(2);
  go({.name = "receives"}, [] { empty.recv(); });
  go({.name = "sends"}, [] { full.send(3); });
  go({.name = "receives from nil"}, [] { nil.recv(); });
  go({.name = "sends to nil"}, [] { nil.send(1); });
  go({.name = "selects"}, [] { turnkey::select(on_recv(empty), on_send(full, 3)); });
  go({.name = "selects one"}, [] { turnkey::select(on_send(full, 3)); });
  go({.name = "selects nil"}, [] { turnkey::select(on_recv(nil), on_send(nil, 3)); });
  go({.name = "selects one nil"}, [] { turnkey::select(on_recv(nil)); });
  turnkey::select();
}

// A limit that never comes is none.
void unlimited_limits() {
  static const auto empty = make_chan<int>();
  go({.name = "stoppable by nobody"}, [] { empty.recv(std::stop_token()); });
  go({.name = "until the end of time"}, [] {
    int v = 0;
    (void)empty.recv_for(v, std::chrono::nanoseconds::max());
  });
  go({.name = "selects for ever"}, [] {
    turnkey::select(on_recv(empty), turnkey::on_timeout(std::chrono::nanoseconds::max()),
                    turnkey::on_stop(std::stop_token()));
  });
  for (const int v : empty) std::printf("%d\n", v);
}

// The one select of the program waits for itself.
void alone() {
  const auto c = make_chan<int>();
  turnkey::select(on_recv(c), on_send(c, 1));
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  if (way == "every reason") every_reason();
  if (way == "unlimited limits") unlimited_limits();
  if (way == "alone") alone();
  std::puts("went on");
}
