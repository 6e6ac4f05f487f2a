// turnkey/map_guard.hpp -- how checked_map notices that two threads of control use it at once. For adaptors of other
// containers as well; the protocol is at the top of src/data/map_guard.cpp.
//
//   turnkey::map_guard guard;                                       // beside the container
//   { map_guard::write once(guard); if (erase(k)) once.change(); }  // around whatever writes
//   guard.read();                                                   // before whatever reads
//
// It watches, and does not lock. What it finds ends the program: "fatal error: concurrent map writes" and its siblings.
// Cost: a read is one comparison (two instructions), a use of what was just found none, an element of an iteration one; a write is
// two additions to memory, each with a branch, and one comparison if an element comes or goes: four to seven instructions. 24 bytes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <turnkey/map_guard_state.hpp>
#include <turnkey/word_in_memory.hpp>

namespace turnkey {

namespace parking {
class control;
}
namespace data {
struct map_guard_report;
}

class map_guard {
 public:
  // Tells one state of the container from another, by how often elements have come or gone.
  using changes = map_guard_state::word;

  constexpr map_guard() noexcept = default;
  map_guard(const map_guard&) = delete;  // the copy of a container is another container, with a guard of its own
  map_guard& operator=(const map_guard&) = delete;

  // Somebody reads; what an iterator to what it finds must remember. Fatal while somebody writes.
  changes read() const noexcept {
    if (!platform::is_at_least_now(state_, state::least_free)) [[unlikely]]
      fail_read();
    return known_state();
  }
  // The same, and it is going to iterate, so that the next change is worth recording.
  [[nodiscard]] changes begin() const noexcept {
    if (!platform::is_at_least_now(state_, state::least_free)) [[unlikely]]
      fail_iterate(known_state());
    const std::atomic_ref<bool> is_watched(is_watched_);  // others may begin at the same time
    if (!is_watched.load(std::memory_order_relaxed)) is_watched.store(true, std::memory_order_relaxed);
    return known_state();
  }
  // Somebody looks at its iterator's element. Fatal if an element has come or gone since. Nothing where the compiler sees that
  // this thread has done nothing since it looked last.
  void look(changes since) const noexcept {
    if (known_state() != since) [[unlikely]]
      fail_iterate(since);
  }
  // Somebody goes to the next element. Fatal as look().
  void step(changes since) const noexcept {
    if (!platform::is_now(state_, since)) [[unlikely]]
      fail_iterate(since);
  }

  // Somebody writes, as long as this lives, or until end(). Fatal if somebody else does.
  // Always inline, so that it need not lie in memory for the sake of an exception.
  class write {
   public:
    [[gnu::always_inline]] explicit write(map_guard& guard) noexcept : guard_(guard) { guard_.enter(); }
    [[gnu::always_inline]] ~write() {
      if (has_ended_) return;
      if (has_changed_) {
        guard_.leave_changed(state::free + 1);
      } else {
        guard_.leave();
      }
    }
    write(const write&) = delete;
    write& operator=(const write&) = delete;

    // Elements come or go in this write: iterators made before are no good any more.
    void change() noexcept { has_changed_ = true; }
    // The write is over, and nothing has come or gone. What an iterator that it returns must remember.
    [[gnu::always_inline]] changes end() noexcept {
      has_ended_ = true;
      return guard_.leave();
    }
    // The write is over, and `count` elements, at most one, have come or gone. Costs no branch if that was not known before.
    [[gnu::always_inline]] changes end(std::size_t count) noexcept {
      has_ended_ = true;
      return guard_.leave_changed(state::free + static_cast<state::word>(count));
    }
    // The write is over, and nothing has come or gone. Returns `found`, which its caller is going to return.
    template <class T>
    [[nodiscard, gnu::always_inline]] T* end_with(T* found) noexcept {
      has_ended_ = true;
      return static_cast<T*>(guard_.leave_with(found));
    }

   private:
    map_guard& guard_;
    bool has_changed_ = false;
    bool has_ended_ = false;
  };

  // What an iterator remembers that may be compared only.
  static constexpr changes at_end = ~changes{0};

 private:
  friend struct data::map_guard_report;
  using state = map_guard_state;

  // Plain loads, as the map's own are: what the compiler knows already, it need not load. If they race, so does the user's map, and
  // that is what is being looked for. ThreadSanitizer is to report the race on the map: hence the attributes.
  [[gnu::no_sanitize_thread]] changes known_state() const noexcept { return state_; }
  [[gnu::no_sanitize_thread]] bool is_watched() const noexcept { return is_watched_; }
  void enter() noexcept {
    if (!platform::add_now(state_, 0 - state::free)) [[unlikely]]
      fail_write();
  }
  changes leave() noexcept {
    if (!platform::add_now(state_, state::free)) [[unlikely]]
      leave_slow();
    return known_state();
  }
  // `found` goes through the slow path and comes back, so that no register is saved for it on the quick one.
  void* leave_with(void* found) noexcept {
    if (!platform::add_now(state_, state::free)) [[unlikely]]
      return leave_slow_with(found);
    return found;
  }
  [[gnu::always_inline]] changes leave_changed(state::word step) noexcept {
    if (is_watched()) [[unlikely]]
      note_changer(step);
    if (!platform::add_now(state_, step)) [[unlikely]]
      leave_slow();
    return known_state();
  }
  void note_changer(state::word step) noexcept;
  void leave_slow() noexcept;
  void* leave_slow_with(void* found) noexcept;
  [[noreturn]] void fail_read() const noexcept;
  [[noreturn]] void fail_iterate(changes since) const noexcept;
  [[noreturn]] void fail_write() const noexcept;

  mutable changes state_ = state::free;
  std::atomic<parking::control*> changer_{nullptr};
  std::atomic<std::uint32_t> changer_token_{0};
  mutable bool is_watched_ = false;
};

static_assert(sizeof(map_guard) <= 24);

}  // namespace turnkey
