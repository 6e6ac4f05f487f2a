// Where a trace is recorded: each OS thread writes into a ring of its own, so recording shares no line and takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string_view>

#include "diagnostics/mapped_array.hpp"
#include "parking/reason.hpp"
#include "parking/thread_control.hpp"
#include "runtime/goroutine.hpp"

namespace turnkey::diagnostics {

// Who: a goroutine by its id, an OS thread by the kernel's, nobody (0), or so many readers.
class party {
 public:
  constexpr party() noexcept = default;
  static constexpr party goroutine(std::uint64_t id) noexcept { return party(id); }
  static constexpr party thread(std::int32_t id) noexcept { return party(thread_bit | static_cast<std::uint32_t>(id)); }
  static constexpr party readers(std::uint32_t count) noexcept { return party(readers_bit | count); }
  static constexpr party of_word(std::uint64_t word) noexcept { return party(word); }

  [[nodiscard]] constexpr bool is_nobody() const noexcept { return word_ == 0; }
  [[nodiscard]] constexpr bool is_thread() const noexcept { return (word_ & thread_bit) != 0; }
  [[nodiscard]] constexpr bool are_readers() const noexcept { return (word_ & readers_bit) != 0; }
  [[nodiscard]] constexpr bool is_goroutine() const noexcept { return word_ != 0 && !is_thread() && !are_readers(); }
  // Its id, or how many they are.
  [[nodiscard]] constexpr std::uint64_t number() const noexcept { return word_ & ~(thread_bit | readers_bit); }
  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  friend constexpr bool operator==(party, party) noexcept = default;

 private:
  explicit constexpr party(std::uint64_t word) noexcept : word_(word) {}
  static constexpr std::uint64_t thread_bit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t readers_bit = std::uint64_t{1} << 62;
  std::uint64_t word_ = 0;
};
inline party party_of(const parking::control& who) noexcept {
  if (who.is_thread()) return party::thread(static_cast<const parking::thread_control&>(who).thread());
  return party::goroutine(static_cast<const runtime::goroutine&>(who).id());
}

//   what       who                       object              besides
//   created    who called go             the goroutine       its name
//   runs       the goroutine
//   idle       nobody                                        the thread, a worker, has no goroutine to run
//   ended      the goroutine
//   waits      who does                  what is waited for  why; a lock's holder
//   goes_on    the thread, after a wait
//   wakes      who does; nobody: a timer whom
//   locks      who does                  the lock            as what
//   unlocks    who does                  the lock            as what
//   counts     who does                  the value           the name
//   marks      who does                                      the name
enum class trace_kind : std::uint8_t {
  created,
  runs,
  idle,
  ended,
  waits,
  goes_on,
  wakes,
  locks,
  unlocks,
  counts,
  marks,
};

// One event: as large as a cache line, in words, so that it can be written and read word by word.
struct trace_record {
  static constexpr std::size_t words = 8;
  static constexpr std::size_t words_without_text = 5;
  static constexpr std::size_t longest_text = 31;

  std::array<std::uint64_t, words> word;

  // On the steady clock.
  [[nodiscard]] std::int64_t when() const noexcept { return static_cast<std::int64_t>(word[0]); }
  [[nodiscard]] trace_kind what() const noexcept { return static_cast<trace_kind>(word[1] & 0xff); }
  [[nodiscard]] parking::reason why() const noexcept { return static_cast<parking::reason>(word[1] >> 8 & 0xff); }
  // On which it happened.
  [[nodiscard]] std::int32_t thread() const noexcept { return static_cast<std::int32_t>(word[1] >> 32); }
  [[nodiscard]] party who() const noexcept { return party::of_word(word[2]); }
  [[nodiscard]] std::uint64_t object() const noexcept { return word[3]; }
  [[nodiscard]] party whom() const noexcept { return party::of_word(word[3]); }
  [[nodiscard]] party holder() const noexcept { return party::of_word(word[4]); }
  // Of created, counts and marks. Any bytes.
  [[nodiscard]] std::string_view text() const noexcept {
    const auto* const first = reinterpret_cast<const char*>(&word[4]);
    const std::string_view all(first, longest_text + 1);
    return all.substr(0, all.find('\0'));
  }
};

class trace_ring {
 public:
  // How many records a ring is to have, rounded up to a power of two. Before the first is made.
  static void set_capacity(std::uint32_t records) noexcept;
  // The calling thread's, made if need be, or taken over from one that has ended. Null: no memory.
  static trace_ring* of_this_thread() noexcept;
  // Appends to `to`, which is empty, what the rings hold, the oldest first, while others may go on to record: all that has
  // happened since some time, which is the oldest record of the ring that reaches back least. Returns how many records there
  // were before that, and up to when nothing is missing.
  struct collection {
    std::uint64_t lost;
    std::int64_t until;
  };
  static collection collect(mapped_array<trace_record>& to) noexcept;

  // Called by its thread only. `size`: how many of the words count; the first two are the ring's own.
  void add(trace_kind what, parking::reason why, trace_record& record, std::size_t size) noexcept;

 private:
  static trace_ring* make(std::int32_t owner) noexcept;
  static trace_ring* take_over(std::int32_t owner) noexcept;
  std::uint64_t copy_to(mapped_array<trace_record>& to) const noexcept;
  [[nodiscard]] std::atomic<std::uint64_t>* slot(std::uint64_t number) const noexcept;

  std::atomic<std::uint64_t> head_{0};  // records so far
  std::atomic<std::int32_t> owner_{0};  // the thread
  std::uint32_t capacity_ = 0;
  std::int64_t last_ = 0;  // the time of the last record
  std::atomic<std::uint64_t>* slots_ = nullptr;
  trace_ring* next_ = nullptr;  // in the list of all
};

}  // namespace turnkey::diagnostics
