// Every order that channels promise, relied upon by plain ints, whoever comes first. No data race.
#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include <turnkey/turnkey.hpp>

#include <turnkey/chan.hpp>
#include <turnkey/select.hpp>

namespace {

using turnkey::chan;
using turnkey::go;
using turnkey::make_chan;
using turnkey::on_recv;
using turnkey::on_send;

void fail_if(bool is_wrong, const char* what) {
  if (is_wrong) std::puts(what);
}

// Lets the other one come first, or not.
void dawdle(int round) {
  for (int i = 0; i < round % 3; ++i) turnkey::this_goroutine::yield();
}

// a send -> the receive of its value
void send_to_receive(int round) {
  for (const int capacity : {0, 1, 3}) {
    const auto c = make_chan<int>(capacity);
    int value = 0;
    turnkey::wait_group done;
    done.go([&] {
      dawdle(round);
      value = 1;
      c.send(0);
    });
    dawdle(round + 1);
    c.recv();
    fail_if(++value != 2, "send -> receive");
    done.wait();
  }
}

// a receive without capacity -> the end of its send
void receive_to_send(int round) {
  const auto c = make_chan<std::string>();
  int value = 0;
  turnkey::wait_group done;
  done.go([&] {
    dawdle(round);
    value = 1;
    c.recv();
  });
  dawdle(round + 1);
  c.send("words");
  fail_if(++value != 2, "receive -> send");
  done.wait();
}

// the k-th receive -> the end of the (k + C)-th send, whether the receiver waited, or the sender, or neither
void receive_to_later_send(int round) {
  for (const int capacity : {1, 2}) {
    const auto words = make_chan<std::string>(capacity);
    const auto numbers = make_chan<int>(capacity);
    int value = 0;
    int other = 0;
    turnkey::wait_group done;
    done.go([&] {
      dawdle(round);
      value = 1;
      words.recv();
      other = 1;
      numbers.recv();
    });
    dawdle(round + 1);
    for (int i = 0; i <= capacity; ++i) words.send("words that are longer than what a string keeps in itself");
    fail_if(++value != 2, "receive -> later send");
    for (int i = 0; i <= capacity; ++i) numbers.send(i);
    fail_if(++other != 2, "receive -> later send of a word");
    done.wait();
  }
}

// a channel of capacity 1 as a mutex
void as_mutex() {
  const auto inside = make_chan<int>(1);
  int value = 0;
  turnkey::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      for (int k = 0; k < 50; ++k) {
        inside.send(k);
        ++value;
        inside.recv();
      }
    });
  }
  done.wait();
  fail_if(value != 200, "mutex");
}

// a token that is handed from one to the other
void as_token() {
  const auto token = make_chan<int>(1);
  token.send(0);
  int value = 0;
  turnkey::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      for (int k = 0; k < 50; ++k) {
        token.recv();
        ++value;
        token.send(k);
      }
    });
  }
  done.wait();
  fail_if(value != 200, "token");
}

// close -> a receive that says so
void close_to_receive(int round) {
  const auto c = make_chan<int>(round % 2);
  int value = 0;
  turnkey::go([&] {
    dawdle(round);
    value = 1;
    c.close();
  });
  dawdle(round + 1);
  fail_if(c.recv().has_value(), "a value");
  fail_if(++value != 2, "close -> receive");
}

// what is sent is the receiver's: without a lock, through buffers and hands
void values(int round) {
  for (const int capacity : {0, 1, 4}) {
    const auto c = make_chan<std::unique_ptr<std::string>>(capacity);
    turnkey::wait_group done;
    for (int i = 0; i < 2; ++i) {
      done.go([&] {
        for (int k = 0; k < 20; ++k) {
          c.send(std::make_unique<std::string>("sent"));
          dawdle(round + k);
        }
      });
      done.go([&] {
        for (int k = 0; k < 20; ++k) {
          (*c.recv())->append(" and received");
          dawdle(round + k + 1);
        }
      });
    }
    done.wait();
  }
}

// the same by select, on both sides
void by_select(int round) {
  for (const int capacity : {0, 2}) {
    const auto a = make_chan<std::unique_ptr<int>>(capacity);
    const auto b = make_chan<int*>(capacity);
    const auto done = make_chan<char>();
    int last = 0;
    std::array<int, 10> numbers{};
    go([&, round] {
      for (int& number : numbers) {
        number = 1;
        turnkey::select(on_send(a, std::make_unique<int>(1)), on_send(b, &number));
        dawdle(round + static_cast<int>(&number - numbers.data()));
      }
      last = 1;
      done.close();
    });
    int sum = 0;
    const auto keep = [&](const auto& v) { sum += **v; };
    for (int i = 0; i < 10; ++i) {
      turnkey::select(on_recv(a, keep), on_recv(b, keep));
      dawdle(round + i + 1);
    }
    turnkey::select(on_recv(done), on_recv(a));
    fail_if(sum != 10 || ++last != 2, "select");
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 12; ++round) {
    send_to_receive(round);
    receive_to_send(round);
    receive_to_later_send(round);
    as_mutex();
    as_token();
    close_to_receive(round);
    values(round);
    by_select(round);
  }
  std::puts("done");
}
