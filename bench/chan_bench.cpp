// P9:  what does it cost to hand a value over and get an answer?     turnkey, std, Go, Boost.Fiber, crossbeam
// P10: what does a value cost that goes through a buffer?            turnkey, std, Go, Boost.Fiber, crossbeam
// P11: what does a select cost that listens to two channels?         turnkey, Go, crossbeam
//
// Values are ints, buffers have room for 100. Each measurement starts its goroutines, fibers or threads, sends a fixed number of
// values and waits for all; there are so many values that the start does not count. crossbeam and std have OS threads, Go
// goroutines, Boost fibers on one OS thread or on several that steal from each other; ours runs on either. std has no
// channel, so there the rival is what one writes instead: a mutex, two condition variables and a deque. It has nothing
// like select, nor has Boost. Counts differ from contender to contender, for those that are slow; values are per element.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <turnkey/chan.hpp>
#include <turnkey/select.hpp>
#include <vector>

#include "bench.hpp"

namespace {

using namespace bench;

constexpr int room = 100;

// Has no notion of handing over: with room for one, a sender waits only until the value before was taken.
class blocking_queue {
 public:
  explicit blocking_queue(std::size_t capacity) : capacity_(capacity) {}
  void send(int v) {
    {
      std::unique_lock hold(mu_);
      has_room_.wait(hold, [this] { return values_.size() < capacity_; });
      values_.push_back(v);
    }
    has_value_.notify_one();
  }
  void recv(int& v) {
    {
      std::unique_lock hold(mu_);
      has_value_.wait(hold, [this] { return !values_.empty(); });
      v = values_.front();
      values_.pop_front();
    }
    has_room_.notify_one();
  }

 private:
  const std::size_t capacity_;
  std::mutex mu_;
  std::condition_variable has_room_;
  std::condition_variable has_value_;
  std::deque<int> values_;
};

template <class Channel>
void send_numbers(Channel& to, int count) {
  for (int i = 0; i < count; ++i) to.send(i);
}

template <class Channel>
void receive_numbers(Channel& from, int count) {
  std::uint64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    int v = 0;
    from.recv(v);
    sum += static_cast<std::uint64_t>(v);
  }
  keep(sum);
}

// ---- P9 ------------------------------------------------------------------------------------------------------------

// Nanoseconds for each round trip.
template <class Group, class Channel>
sample ping_pong(Channel& there, Channel& back, int count) {
  const auto start = clock::now();
  Group both;
  both.go([&] {
    for (int i = 0; i < count; ++i) {
      int v = i;
      there.send(v);
      back.recv(v);
    }
  });
  both.go([&] {
    for (int i = 0; i < count; ++i) {
      int v = 0;
      there.recv(v);
      back.send(v);
    }
  });
  both.wait();
  return {nanoseconds_since(start) / count};
}

template <class Group>
sample ping_pong_through_chans(int count) {
  auto there = turnkey::make_chan<int>();
  auto back = turnkey::make_chan<int>();
  return ping_pong<Group>(there, back, count);
}

sample ping_pong_through_queues(int count) {
  blocking_queue there(1);
  blocking_queue back(1);
  return ping_pong<thread_group>(there, back, count);
}

const registration unbuffered([](suite& all) {
  constexpr int many = 300'000;
  constexpr int few = 5'000;  // for those whose every step is a system call
  benchmark one{
      .id = "P9",
      .question = "unbuffered channels: a value there, a value back",
      .unit = "ns a round trip",
      .goals = {{goal::relation::at_most, 0.3, side::go}},
      .contenders = {
          {"turnkey::chan, goroutines", side::ours,
           [] { return in_goroutine([] { return ping_pong_through_chans<turnkey::wait_group>(many); }); }},
          {"turnkey::chan, threads", side::also_ours, [] { return ping_pong_through_chans<thread_group>(few); }},
          {"std::mutex + deque, threads", side::standard, [] { return ping_pong_through_queues(few); }},
          go_peer("chan", "ping_pong", {many})}};
  add_boost_peers(one, "ping_pong", {100'000});
  one.contenders.push_back(rust_peer("crossbeam", "ping_pong", {few}));
  all.add(std::move(one));
});

// ---- P10 -----------------------------------------------------------------------------------------------------------

// So many produce and so many consume; nanoseconds for each element.
template <class Group, class Channel>
sample through_buffer(Channel& buffer, int pairs, int count) {
  const auto start = clock::now();
  Group all;
  for (int i = 0; i < pairs; ++i) {
    all.go([&buffer, each = count / pairs] { send_numbers(buffer, each); });
    all.go([&buffer, each = count / pairs] { receive_numbers(buffer, each); });
  }
  all.wait();
  return {nanoseconds_since(start) / count};
}

template <class Group>
sample through_chan(int pairs, int count) {
  auto buffer = turnkey::make_chan<int>(room);
  return through_buffer<Group>(buffer, pairs, count);
}

sample through_queue(int pairs, int count) {
  blocking_queue buffer(room);
  return through_buffer<thread_group>(buffer, pairs, count);
}

void add_buffered(suite& all, int pairs, const std::string& who) {
  constexpr int many = 1'000'000;
  constexpr int few = 200'000;
  benchmark one{.id = "P10." + std::to_string(pairs),
                .question = "a channel with room for 100: " + who,
                .unit = "ns an element",
                .goals = {{goal::relation::at_most, 0.5, side::go}},
                .contenders = {
                    {"turnkey::chan, goroutines", side::ours,
                     [=] { return in_goroutine([=] { return through_chan<turnkey::wait_group>(pairs, many); }); }},
                    {"turnkey::chan, threads", side::also_ours, [=] { return through_chan<thread_group>(pairs, few); }},
                    {"std::mutex + deque, threads", side::standard, [=] { return through_queue(pairs, few); }},
                    go_peer("chan", "buffered", {room, pairs, many})}};
  if (pairs > 1) add_by_workers(all, one);
  add_boost_peers(one, "buffered", {room, pairs, 500'000});
  one.contenders.push_back(rust_peer("crossbeam", "buffered", {room, pairs, many}));
  all.add(std::move(one));
}

const registration buffered([](suite& all) {
  add_buffered(all, 1, "one producer, one consumer");
  add_buffered(all, 4, "four producers, four consumers");
});

// ---- P11 -----------------------------------------------------------------------------------------------------------

// Two produce, each into a channel of his own, one consumes from both; nanoseconds for each element. The cases are listed in
// the call, or come in a vector that was made before.
enum class cases { listed, in_a_vector };

template <class Group, cases Form = cases::listed>
sample select_among_two(int capacity, int count) {
  auto a = turnkey::make_chan<int>(capacity);
  auto b = turnkey::make_chan<int>(capacity);
  const auto start = clock::now();
  Group all;
  all.go([&] { send_numbers(a, count / 2); });
  all.go([&] { send_numbers(b, count / 2); });
  all.go([&] {
    std::uint64_t sum = 0;
    const auto add = [&](std::optional<int> v) { sum += static_cast<std::uint64_t>(*v); };
    if constexpr (Form == cases::listed) {
      for (int i = 0; i < count; ++i) turnkey::select(turnkey::on_recv(a, add), turnkey::on_recv(b, add));
    } else {
      std::vector<turnkey::select_case> both{turnkey::on_recv(a, add), turnkey::on_recv(b, add)};
      for (int i = 0; i < count; ++i) turnkey::select(both);
    }
    keep(sum);
  });
  all.wait();
  return {nanoseconds_since(start) / count};
}

void add_select(suite& all, const std::string& kind, int capacity, int few) {
  constexpr int many = 300'000;
  all.add(
      {.id = "P11." + kind,
       .question = "select over two " + kind + " channels, a producer each",
       .unit = "ns an element",
       .goals = {{goal::relation::at_most, 0.5, side::go}},
       .contenders = {
           {"turnkey::select, goroutines", side::ours,
            [=] { return in_goroutine([=] { return select_among_two<turnkey::wait_group>(capacity, many); }); }},
           {"turnkey::select, a vector of cases", side::ours,
            [=] {
              return in_goroutine(
                  [=] { return select_among_two<turnkey::wait_group, cases::in_a_vector>(capacity, many); });
            }},
           {"turnkey::select, threads", side::also_ours, [=] { return select_among_two<thread_group>(capacity, few); }},
           go_peer("select", "select", {capacity, many}),
           rust_peer("crossbeam", "select", {capacity, few})}});
}

const registration selecting([](suite& all) {
  add_select(all, "unbuffered", 0, 10'000);
  add_select(all, "buffered", room, 200'000);
});

}  // namespace
