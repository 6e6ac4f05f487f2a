// turnkey/concurrent_map_reclaim.hpp -- how a concurrent_map frees what readers may still look at. Not for direct use.
//
// Readers take no lock and write no line that others write. Instead each announces itself in a line of its own for as
// long as it looks (map_pin), and what is taken out of a map is kept in a list until nobody who might have seen it is
// announced any more (retired_list). The protocol is at the top of src/data/concurrent_map_reclaim.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <turnkey/concurrent_map_entry.hpp>

namespace turnkey {

// While one of these lives, nothing that its owner can reach in a map is freed. It belongs to the call, not to the
// thread: its owner may park and go on on another thread, and may make another pin inside.
class map_pin {
 public:
  map_pin();  // may throw std::bad_alloc: the first on a thread, or inside another
  ~map_pin();
  map_pin(const map_pin&) = delete;
  map_pin& operator=(const map_pin&) = delete;

  // 0 ... stripes - 1: those who are at work at the same time have different ones, as far as there are enough.
  static constexpr std::size_t stripes = 8;
  [[nodiscard]] std::size_t stripe() const noexcept;

  struct record;

 private:
  record* record_;
};

// Things that were taken out, until no reader can have them. A cache line, so that neighbours do not disturb each other.
class alignas(64) retired_list {
 public:
  // Ends the life of one. May run code of the user: it is called with no lock held and no pin.
  using destroyer = void (*)(map_retired& thing, void* map);

  constexpr retired_list() noexcept = default;
  retired_list(const retired_list&) = delete;
  retired_list& operator=(const retired_list&) = delete;

  // Adds a thing that nobody can find any more. True if it is time for collect(), which must wait until the caller's
  // own pins are gone.
  [[nodiscard]] bool add(map_retired& thing) noexcept;
  // True if there is much here.
  [[nodiscard]] bool is_full() const noexcept;
  // True now and then while something is here: the caller should try collect().
  [[nodiscard]] bool is_due() noexcept;
  // Destroys what nobody can be reading. 10 to 20 us while other threads run.
  void collect(destroyer destroy, void* map) noexcept;
  // Destroys all: nobody uses the map any more.
  void drain(destroyer destroy, void* map) noexcept;

 private:
  void begin_aging() noexcept;

  std::atomic<std::uint32_t> latch_{0};
  std::atomic<std::uint32_t> pending_{0};  // how many are here
  std::atomic<std::uint32_t> asked_{0};
  std::uint32_t fresh_count_ = 0;
  std::uint32_t threshold_ = 256;
  bool is_collecting_ = false;
  map_retired* fresh_ = nullptr;
  map_retired* aging_ = nullptr;  // were fresh when stamp_ was taken
  std::uint64_t stamp_ = 0;
};

// Runs destroy(thing, map) for something that readers have been through, of whom ThreadSanitizer does not know that
// they have gone: it is told not to look.
void destroy_retired(map_retired& thing, retired_list::destroyer destroy, void* map) noexcept;

}  // namespace turnkey
