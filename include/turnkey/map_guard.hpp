// turnkey/map_guard.hpp -- how checked_map notices that two threads of control use it at once. For adaptors of other
// containers as well; the protocol is at the top of src/data/map_guard.cpp.
//
//   turnkey::map_guard guard;                                       // beside the container
//   { map_guard::write once(guard); if (erase(k)) once.change(); }  // around whatever writes
//   guard.read();                                                   // before whatever reads
//
// It watches, and does not lock. What it finds ends the program: "fatal error: concurrent map writes" and its siblings.
// Cost: a read is one comparison (two instructions), a use of what was just found none, a step of an iteration one; a write is
// two, and two stores; all of them plain instructions. 24 bytes.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey {

namespace parking {
class control;
}
namespace data {
struct map_guard_report;
}

class map_guard {
 public:
  // How often elements have come or gone, times four.
  using changes = std::uint64_t;

  constexpr map_guard() noexcept = default;
  map_guard(const map_guard&) = delete;  // the copy of a container is another container, with a guard of its own
  map_guard& operator=(const map_guard&) = delete;

  // Somebody reads; what an iterator to what it finds must remember. Fatal while somebody writes.
  [[gnu::no_sanitize_thread]] changes read() const noexcept {
    const changes seen = fresh();
    if ((seen & busy) != 0) [[unlikely]]
      fail_read();
    return seen;
  }
  // The same, and it is going to iterate, so that the next change is worth recording.
  [[nodiscard, gnu::no_sanitize_thread]] changes begin() const noexcept {
    const changes since = fresh();
    if ((since & busy) != 0) [[unlikely]]
      fail_iterate(since);
    if (!is_watched_.load(std::memory_order_relaxed)) is_watched_.store(true, std::memory_order_relaxed);
    return since;
  }
  // Somebody looks at its iterator's element. Fatal if an element has come or gone since.
  [[gnu::no_sanitize_thread]] void look(changes since) const noexcept {
    if (state_ != since) [[unlikely]]
      fail_iterate(since);
  }
  // Somebody goes to the next element. Fatal as look(), whatever the compiler believes to know of the state.
  [[gnu::no_sanitize_thread]] void step(changes since) const noexcept {
    if (fresh() != since) [[unlikely]]
      fail_iterate(since);
  }

  // Somebody writes, as long as this lives. Fatal if somebody else does.
  class write {
   public:
    [[gnu::no_sanitize_thread]] explicit write(map_guard& guard) noexcept : guard_(guard) {
      if ((guard_.fresh() & busy) != 0) [[unlikely]]
        guard_.fail_write();
      guard_.state_ += writing;
      std::atomic_signal_fence(std::memory_order_seq_cst);  // keeps the compiler from moving what is written out
    }
    [[gnu::no_sanitize_thread]] ~write() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      guard_.state_ -= writing;
      // If somebody else has taken it back, or has said `caught`, this has not made it zero.
      if ((guard_.fresh() & busy) != 0) [[unlikely]]
        guard_.fail_written();
    }
    write(const write&) = delete;
    write& operator=(const write&) = delete;

    // Elements have come or gone: iterators made before are no good any more.
    [[gnu::no_sanitize_thread]] void change() noexcept {
      if (guard_.is_watched_.load(std::memory_order_relaxed)) [[unlikely]]
        guard_.note_changer();
      guard_.state_ += one_change;
    }
    // What an iterator that the write returns must remember.
    [[nodiscard, gnu::no_sanitize_thread]] changes after() const noexcept { return guard_.state_ & ~busy; }

   private:
    map_guard& guard_;
  };

  // What an iterator remembers that may be compared only.
  static constexpr changes at_end = ~changes{0};

 private:
  friend struct data::map_guard_report;
  static constexpr changes writing = 1;
  static constexpr changes caught = 2;
  static constexpr changes busy = writing | caught;
  static constexpr changes one_change = 4;

  // ThreadSanitizer is to report the race on the map, not the one on its guard: hence the attributes.
  // A plain load: what was looked at by the same caller a moment ago needs no second look (`it = find(k); use(*it)`), which
  // the compiler would not join if it were atomic. If it races, so does the user's map, and that is what is being looked for.
  // The assembly, which is empty, keeps it from being moved out of a loop.
  [[gnu::no_sanitize_thread]] changes fresh() const noexcept {
    asm volatile("" : "+m"(state_));
    return state_;
  }
  void note_changer() noexcept;
  [[noreturn]] void fail_read() const noexcept;
  [[noreturn]] void fail_iterate(changes since) const noexcept;
  [[noreturn]] void fail_write() const noexcept;
  [[noreturn]] void fail_written() const noexcept;

  mutable changes state_ = 0;
  std::atomic<parking::control*> changer_{nullptr};
  std::atomic<std::uint32_t> changer_token_{0};
  mutable std::atomic<bool> is_watched_{false};
};

static_assert(sizeof(map_guard) <= 24);

}  // namespace turnkey
