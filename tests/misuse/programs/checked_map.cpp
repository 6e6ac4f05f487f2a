// checked_map WAY WHO: uses a checked_map as it must not be used. WHO are `goroutines` or `threads`.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>

#include <turnkey/checked_map.hpp>
#include <turnkey/turnkey.hpp>

using numbers = turnkey::checked_map<int, int>;
numbers shared;
int total = 0;  // seen from outside, so that no compiler drops the reads

namespace {

std::atomic<int> turn{0};

void fill() {
  shared.reserve(4096);
  for (int i = 0; i < 1000; ++i) shared[i] = i;
}

// Goroutines on one worker come in between here, and only here. All others must not: they are to meet inside.
void let_others_in() {
  if (turnkey::max_procs() == 1 && turnkey::this_goroutine::get_id() != 0) turnkey::this_goroutine::yield();
}

template <class F>
void for_ever(F f) {
  for (unsigned i = 1;; ++i) {
    f(static_cast<int>(i % 1000));
    if (i % 64 == 0) let_others_in();
  }
}

// What is unsafe in itself, such as freeing an element that somebody reads, is left out: these programs must end as told.
void write_for_ever() {
  for_ever([](int key) { ++shared[key]; });
}
void erase_for_ever() {
  for_ever([](int key) {
    shared.erase(key);
    shared[key] = key;
  });
}
void read_for_ever() {
  for_ever([](int key) { static_cast<void>(shared.contains(key)); });
}
void iterate_for_ever() {
  for (;;) {
    int sum = 0;
    int steps = 0;
    for (const auto& [key, value] : shared) {
      sum += value;
      if (++steps % 16 == 0) let_others_in();
    }
    total = sum;
  }
}

void wait_for_turn(int n) {
  while (turn.load() != n) turnkey::this_goroutine::yield();
}

// Not at once, but between two steps.
void iterate_in_turns() {
  auto it = shared.begin();
  turn = 1;
  wait_for_turn(2);
  ++it;
}
void write_in_turns() {
  wait_for_turn(1);
  shared.erase(5);
  turn = 2;
}

template <class First, class Second>
void both(std::string_view who, First first, Second second) {
  if (who == "threads") {
    std::jthread a(first);
    std::jthread b(second);
  } else {
    turnkey::wait_group done;
    done.go({.name = "first"}, first);
    done.go({.name = "second"}, second);
    done.wait();
  }
}

void alone(std::string_view way) {
  auto it = shared.begin();
  if (way == "inserts while iterating") shared[5000] = 1, ++it;
  if (way == "erases while iterating") shared.erase(it->first), ++it;
  if (way == "looks at what it erased") shared.erase(it->first), static_cast<void>(it->second);
  if (way == "clears while iterating") shared.clear(), ++it;
  if (way == "erases twice") shared.erase(it), shared.erase(it);
  if (way == "uses the end") static_cast<void>(shared.end()->second);
}

// An element that uses the map as it is made.
struct recursive {
  explicit recursive(int depth);
};
turnkey::checked_map<int, recursive> tree;
recursive::recursive(int depth) {
  if (depth == 0) {
    static_cast<void>(tree.contains(1));
  } else {
    tree.try_emplace(2, depth - 1);
  }
}

// As if two had entered at once, and the other one had left.
void leave_what_is_free() {
  const turnkey::map_guard left;
  turnkey::map_guard guard;
  const turnkey::map_guard::write once(guard);
  std::memcpy(static_cast<void*>(&guard), &left, sizeof(turnkey::map_guard::changes));
}

}  // namespace

int main(int, char** argv) {
  const std::string_view way = argv[1];
  const std::string_view who = argv[2];
  fill();
  if (way == "two writers") both(who, write_for_ever, write_for_ever);
  if (way == "reader and writer") both(who, read_for_ever, write_for_ever);
  if (way == "iterator and writer") both(who, iterate_for_ever, write_for_ever);
  if (way == "iterator and eraser on one worker") both(who, iterate_for_ever, erase_for_ever);
  if (way == "iterator and writer in turns") both(who, iterate_in_turns, write_in_turns);
  if (way == "reads inside itself") tree.try_emplace(1, 0);
  if (way == "writes inside itself") tree.try_emplace(1, 1);
  if (way == "leaves what is free") leave_what_is_free();
  if (who == "alone") alone(way);
  std::puts("went on");
}
