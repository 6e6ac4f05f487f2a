// S12: the referee, the conveyor belt and the key. A wait_group, a channel and a mutex each do what they are best at.
//
// In Go: a sync.WaitGroup to know when all bakers have gone home, a buffered channel to hand over the loaves, a sync.Mutex
// around the ledger that everybody writes into, and one select that listens to the belt and to the whistle.
#include <array>
#include <cstdio>
#include <mutex>
#include <optional>
#include <turnkey/turnkey.hpp>

namespace {

constexpr int bakers = 3;
constexpr int loaves_each = 10;

struct ledger {
  turnkey::mutex key;  // guards the rest
  int baked = 0;
  std::array<int, bakers> packed_of{};
};

void bake(int who, const turnkey::sender<int>& belt, ledger& book) {
  for (int loaf = 0; loaf < loaves_each; ++loaf) {
    {
      const std::scoped_lock with_the_key(book.key);
      ++book.baked;
    }
    belt.send(who);  // waits while the belt is full
  }
}

void pack(const turnkey::receiver<int>& belt, const turnkey::receiver<int>& whistle, ledger& book) {
  const auto put_in_a_box = [&book](int who) {
    const std::scoped_lock with_the_key(book.key);
    ++book.packed_of[static_cast<std::size_t>(who)];
  };
  bool is_shift_over = false;
  while (!is_shift_over) {
    turnkey::select(turnkey::on_recv(belt, [&](std::optional<int> who) { put_in_a_box(*who); }),
                    turnkey::on_recv(whistle, [&](std::optional<int> /*closed*/) { is_shift_over = true; }));
  }
  for (int who = 0; belt.try_recv(who) == turnkey::chan_status::ok;) put_in_a_box(who);  // what lay on the belt still
}

}  // namespace

int main() {
  const auto belt = turnkey::make_chan<int>(4);
  const auto whistle = turnkey::make_chan<int>();
  ledger book;
  turnkey::wait_group referee;
  turnkey::wait_group packer;
  for (int who = 0; who < bakers; ++who) referee.go([=, &book] { bake(who, belt, book); });
  packer.go([=, &book] { pack(belt, whistle, book); });

  referee.wait();   // every baker has put down the last loaf
  whistle.close();  // a closed channel is ready for all who listen
  packer.wait();
  std::printf("baked:  %d\n", book.baked);
  for (int who = 0; who < bakers; ++who) {
    std::printf("packed: %d of baker %d\n", book.packed_of[static_cast<std::size_t>(who)], who);
  }
}
