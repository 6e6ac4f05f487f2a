// What the records of a trace mean together: what each goroutine and thread did from when to when, which locks it held
// meanwhile, and whom it woke.
#pragma once

#include <cstdint>
#include <string_view>

#include "diagnostics/mapped_array.hpp"
#include "diagnostics/trace_ring.hpp"
#include "parking/control.hpp"
#include "parking/reason.hpp"

namespace turnkey::diagnostics {

// A stretch of a track. Those of one track nest: around what it does are the locks that it holds.
struct trace_slice {
  enum class kind : std::uint8_t {
    running,   // of a goroutine: on `thread`; of an OS thread: it does not wait in the library
    runnable,  // ready, and no thread has taken it up: `other` has woken or created it
    waiting,   // for `object`, in `why`; `other` holds it, `waker` has ended the wait
    holding,   // the lock `object`, by a call of `why`
    carrying,  // of a worker: the goroutine `other`
    idle,      // of a worker: no goroutine
  };
  std::int64_t begin;
  std::int64_t end;
  party track;
  std::uint64_t object;
  party other;
  party waker;
  std::int32_t thread;
  kind what;
  parking::reason why;
  std::uint8_t depth;  // how many are around it
  bool is_unfinished;  // it went on when the trace was written
};

// Who woke whom; from when it did to when the other one ran.
struct trace_wake {
  std::int64_t from_time;
  std::int64_t to_time;
  party from;
  party to;
};

// A goroutine or thread that is in the trace.
struct trace_track {
  party who;
  char name[trace_record::longest_text + 1];  // of a goroutine
  bool is_worker;
  [[nodiscard]] std::string_view get_name() const noexcept { return name; }
};

class trace_story {
 public:
  // `records`: in order. Tells of what was after `since`, up to `now`.
  trace_story(const mapped_array<trace_record>& records, std::int64_t since, std::int64_t now) noexcept
      : records_(records), since_(since), now_(now) {}

  void tell() noexcept;

  [[nodiscard]] const mapped_array<trace_slice>& slices() const noexcept { return slices_; }  // the outer ones first
  [[nodiscard]] const mapped_array<trace_wake>& wakes() const noexcept { return wakes_; }
  [[nodiscard]] const mapped_array<trace_track>& tracks() const noexcept { return tracks_; }
  [[nodiscard]] const mapped_array<trace_record>& records() const noexcept { return records_; }
  [[nodiscard]] std::int64_t since() const noexcept { return since_; }
  // Null: it is not in the trace.
  [[nodiscard]] const trace_track* find(party who) const noexcept;
  // Something is missing for want of memory.
  [[nodiscard]] bool is_cut() const noexcept { return is_cut_; }

 private:
  // What a track does at the moment; besides, it holds locks.
  struct state {
    std::uint32_t top_hold;  // index + 1; 0: none
    std::uint32_t hold_count;
    bool does_something;
    trace_slice now;        // without its end
    std::int64_t woken_at;  // 0: not
    party waker;
    party waker_track;  // where that was
    std::int64_t seen;  // last
  };
  struct hold {
    std::uint64_t lock;
    std::int64_t since;
    parking::reason how;
    std::uint32_t below;  // index + 1
    std::uint32_t track;
  };

  std::uint32_t index_of(party who) noexcept;
  std::size_t place_of(party who) const noexcept;
  bool grow_table() noexcept;
  void take_in(const trace_record& r) noexcept;
  void begin(std::uint32_t track, trace_slice::kind what, std::int64_t when) noexcept;
  void emit(trace_slice slice, std::int64_t end) noexcept;
  void end(std::uint32_t track, std::int64_t when) noexcept;
  void cut(std::uint32_t track, std::int64_t when) noexcept;
  void seen(std::uint32_t track, std::int64_t when) noexcept;
  void carry(const trace_record& r) noexcept;
  void go_on(std::uint32_t track, std::int64_t when, std::int32_t thread) noexcept;
  void end_wait(std::uint32_t track, std::int64_t when) noexcept;
  void add_hold(std::uint32_t track, const trace_record& r) noexcept;
  bool remove_hold(std::uint32_t track, std::uint64_t lock, std::int64_t when) noexcept;
  void remove_hold_of_anybody(std::uint64_t lock, std::int64_t when) noexcept;
  void emit_hold(std::uint32_t track, const hold& h, std::uint32_t depth, std::int64_t end,
                 bool is_unfinished) noexcept;
  void look_at_the_living() noexcept;
  void look_at(const parking::control& who, party its_party) noexcept;
  void look_for_name(const runtime::goroutine& g, party its_party) noexcept;
  void finish() noexcept;

  const mapped_array<trace_record>& records_;
  std::int64_t since_;
  std::int64_t now_;
  bool is_cut_ = false;
  mapped_array<trace_slice> slices_;
  mapped_array<trace_wake> wakes_;
  mapped_array<trace_track> tracks_;
  mapped_array<state> states_;         // of the tracks
  mapped_array<std::uint32_t> table_;  // index of a track + 1, by a hash of its party; 0: free. A power of two
  mapped_array<hold> holds_;           // `track` is no_track: free
};

}  // namespace turnkey::diagnostics
