// turnkey/map_guard.hpp -- how checked_map notices that two threads of control use it at once. For adaptors of other
// containers as well; the protocol is at the top of src/data/map_guard.cpp.
//
//   turnkey::map_guard guard;                                       // beside the container
//   { map_guard::write once(guard); if (erase(k)) once.change(); }  // around whatever writes
//   guard.read();                                                   // before whatever reads
//
// It watches, and does not lock. What it finds ends the program: "fatal error: concurrent map writes" and its siblings.
// Cost: a read is one comparison; a write is two, and two stores; all of them plain instructions. 24 bytes.
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
  // How often elements have come or gone.
  using changes = std::uint64_t;

  constexpr map_guard() noexcept = default;
  map_guard(const map_guard&) = delete;  // the copy of a container is another container, with a guard of its own
  map_guard& operator=(const map_guard&) = delete;

  // Somebody reads. Fatal while somebody writes.
  void read() const noexcept {
    if (writing_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      fail_read();
  }

  // Somebody makes an iterator; what it must remember.
  [[nodiscard]] changes now() const noexcept { return changes_.load(std::memory_order_relaxed); }
  // The same, and it is going to iterate, so that the next change is worth recording. Fatal while somebody writes.
  [[nodiscard]] changes begin() const noexcept {
    const changes since = now();
    step(since);
    if (!is_watched_.load(std::memory_order_relaxed)) is_watched_.store(true, std::memory_order_relaxed);
    return since;
  }
  // Somebody looks at its iterator's element. Fatal if an element has come or gone since.
  void look(changes since) const noexcept {
    if (changes_.load(std::memory_order_relaxed) != since) [[unlikely]]
      fail_iterate(since);
  }
  // Somebody goes to the next element. Fatal as look(), and while somebody writes.
  void step(changes since) const noexcept {
    look(since);
    if (writing_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      fail_iterate(since);
  }

  // Somebody writes, as long as this lives. Fatal if somebody else does.
  class write {
   public:
    explicit write(map_guard& guard) noexcept : guard_(guard) {
      if (guard_.writing_.load(std::memory_order_relaxed) != 0) [[unlikely]]
        guard_.fail_write();
      guard_.writing_.store(1, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // keeps the compiler from moving what is written out
    }
    ~write() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (guard_.writing_.load(std::memory_order_relaxed) != 1) [[unlikely]]
        guard_.fail_written();
      guard_.writing_.store(0, std::memory_order_relaxed);
    }
    write(const write&) = delete;
    write& operator=(const write&) = delete;

    // Elements have come or gone: iterators made before are no good any more.
    void change() noexcept {
      if (guard_.is_watched_.load(std::memory_order_relaxed)) [[unlikely]]
        guard_.note_changer();
      guard_.changes_.store(guard_.now() + 1, std::memory_order_relaxed);
    }

   private:
    map_guard& guard_;
  };

  // What an iterator remembers that may be compared only.
  static constexpr changes at_end = ~changes{0};

 private:
  friend struct data::map_guard_report;
  void note_changer() noexcept;
  [[noreturn]] void fail_read() const noexcept;
  [[noreturn]] void fail_iterate(changes since) const noexcept;
  [[noreturn]] void fail_write() const noexcept;
  [[noreturn]] void fail_written() const noexcept;

  std::atomic<changes> changes_{0};
  std::atomic<parking::control*> changer_{nullptr};
  std::atomic<std::uint32_t> changer_token_{0};
  mutable std::atomic<std::uint8_t> writing_{0};
  mutable std::atomic<bool> is_watched_{false};
};

static_assert(sizeof(map_guard) <= 24);

}  // namespace turnkey
