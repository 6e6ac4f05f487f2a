// chan_unordered WAY: two write one int, one after the other, in an order that channels do not promise.
#include <atomic>
#include <cstdio>
#include <string_view>

#include <turnkey/turnkey.hpp>

#include <turnkey/chan.hpp>
#include <turnkey/select.hpp>

int shared = 0;  // seen from outside, so that no compiler drops the writes

namespace {

using turnkey::make_chan;

// All of it relaxed: orders nothing.
std::atomic<bool> has_written{false};
std::atomic<bool> may_end{false};

void note_written() { has_written.store(true, std::memory_order_relaxed); }
void wait_for_first() {
  while (!has_written.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
}
void write_second() { shared = 2; }

// The first does not end before the second has written.
template <class First, class Second>
void run(First first, Second second) {
  turnkey::wait_group done;
  done.go({.name = "first"}, [first] {
    first();
    while (!may_end.load(std::memory_order_relaxed)) turnkey::this_goroutine::yield();
  });
  done.go({.name = "second"}, [second] {
    second();
    may_end.store(true, std::memory_order_relaxed);
  });
  done.wait();
}

// With room in the buffer a receive comes before no send.
void by_receive_with_room() {
  const auto c = make_chan<int>(2);
  run(
      [c] {
        shared = 1;
        c.recv();  // waits
      },
      [c] {
        turnkey::this_goroutine::yield();
        c.send(1);
        write_second();
      });
}

// The same where the receiver finds the value in the buffer.
void by_receive_from_the_buffer() {
  const auto c = make_chan<int>(2);
  c.send(0);
  run(
      [c] {
        shared = 1;
        c.recv();
        note_written();
      },
      [c] {
        wait_for_first();
        c.send(1);
        write_second();
      });
}

// Two that have sent are not ordered among each other.
void by_two_sends() {
  const auto c = make_chan<int>(2);
  run(
      [c] {
        shared = 1;
        c.send(1);
        note_written();
      },
      [c] {
        wait_for_first();
        c.send(2);
        write_second();
      });
}

// Room for two is no mutex.
void by_a_channel_for_two() {
  const auto c = make_chan<int>(2);
  run(
      [c] {
        c.send(1);
        shared = 1;
        c.recv();
        note_written();
      },
      [c] {
        wait_for_first();
        c.send(2);
        write_second();
        c.recv();
      });
}

void by_size() {
  const auto c = make_chan<int>(2);
  run(
      [c] {
        shared = 1;
        c.send(1);
      },
      [c] {
        while (c.size() == 0) turnkey::this_goroutine::yield();
        write_second();
      });
}

// Finding it closed orders nothing for one who wants to send.
void by_send_on_closed() {
  const auto c = make_chan<int>(2);
  run(
      [c] {
        shared = 1;
        c.close();
        note_written();
      },
      [c] {
        wait_for_first();
        if (c.try_send(1) == turnkey::chan_status::closed) write_second();
      });
}

void by_failed_receive() {
  const auto c = make_chan<int>(1);
  const auto full = make_chan<int>(1);
  full.send(0);
  run(
      [c, full] {
        shared = 1;
        int v = 0;
        if (full.try_send(1) == turnkey::chan_status::would_block) note_written();
        turnkey::select(turnkey::on_recv(c), turnkey::otherwise());
        (void)c.try_recv(v);
      },
      [c, full] {
        wait_for_first();
        int v = 0;
        (void)full.try_send(1);
        (void)c.recv_for(v, std::chrono::microseconds(1));
        turnkey::select(turnkey::on_recv(c), turnkey::on_send(full, 1), turnkey::otherwise());
        write_second();
      });
}

// A value in the buffer that another has received and one that is still there.
void by_another_value() {
  const auto c = make_chan<int>(2);
  c.send(0);
  run(
      [c] {
        shared = 1;
        c.send(1);
        note_written();
      },
      [c] {
        wait_for_first();
        c.recv();  // the 0
        write_second();
      });
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  if (way == "receive with room") by_receive_with_room();
  if (way == "receive from the buffer") by_receive_from_the_buffer();
  if (way == "two sends") by_two_sends();
  if (way == "a channel for two") by_a_channel_for_two();
  if (way == "size") by_size();
  if (way == "send on closed") by_send_on_closed();
  if (way == "failed receive") by_failed_receive();
  if (way == "another value") by_another_value();
  std::puts("done");
}
