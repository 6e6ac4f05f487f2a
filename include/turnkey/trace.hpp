// turnkey/trace.hpp -- a timeline of the program: who ran, waited, held which lock, and woke whom.
//
//   TURNKEY_TRACE=trace.json ./program       // then open the file in https://ui.perfetto.dev, or in chrome://tracing
//
// or, from within, a table of one's own:
//   turnkey::diagnostics::start_trace();     // first thing in main
//   ...
//   for (const auto& event : turnkey::diagnostics::read_trace()) ...
//
// It is a flight recorder: each OS thread records into a ring of its own, which keeps its last 32,768 events (2 MiB). What is
// older is overwritten, and what is older than that on any thread is left out; the file says how much.
// TURNKEY_TRACE_EVENTS=N makes that N events, TURNKEY_TRACE_LAST=10s writes the last ten seconds only. Off, it costs a load and
// a branch where somebody waits, wakes or is switched to, and uncontended locks nothing. On, an event takes some tens of
// nanoseconds, and locks take their slower ways. All functions may be called from goroutines and OS threads, concurrently.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace turnkey::diagnostics {

// Records from now on, until the program ends. For the beginning of main: false, and nothing is recorded, if there have been
// goroutines, or if another thread has used the library. True also if it records already, as with TURNKEY_TRACE=FILE, which
// records from before main, and writes FILE when the process exits or ends by a fatal error. Go: trace.Start.
bool start_trace() noexcept;

// Writes what the rings hold as Chrome trace JSON; false if it cannot be written, or nothing was ever recorded. Recording
// goes on meanwhile. Blocks on the file; one caller at a time. Memory: 64 bytes an event and about as much again, given back.
// Go: FlightRecorder.WriteTo.
bool write_trace(const std::string& path) noexcept;

// Puts a mark of the program's own into the trace: an instant, or a number that is drawn over time. Of the name the first 31
// bytes are kept. Waits for nobody; next to nothing if nothing is recorded. Go: trace.Log.
void mark(std::string_view name) noexcept;
void mark(std::string_view name, std::int64_t value) noexcept;

// One event. A value: it refers to nothing that can go, `object` apart.
struct trace_event {
  enum class kind : std::uint8_t {
    created,  // a goroutine, `other`, by the one that called go; `name`: its name
    runs,     // the goroutine has a thread from now on
    idle,     // the thread, one of the scheduler's, has no goroutine to run
    ended,    // the goroutine
    waits,    // for `object`, in `why`; `other` holds it, if it is a lock and one has it
    goes_on,  // an OS thread, after a wait; for a goroutine that is `runs`
    wakes,    // `other`; a time limit or a timer if neither goroutine nor thread are set
    locks,    // has `object` now; `why`: sync.Mutex.Lock, sync.RWMutex.Lock, or sync.RWMutex.RLock
    unlocks,
    counts,  // mark(name, value)
    marks,   // mark(name)
  };
  // A goroutine has an id, else it is an OS thread, else nobody.
  struct party {
    std::uint64_t goroutine = 0;
    std::int32_t thread = 0;
    friend bool operator==(const party&, const party&) = default;
  };

  kind what{};
  std::chrono::steady_clock::time_point when;
  party who;
  std::int32_t on_thread = 0;  // where it happened
  party other;
  const void* object = nullptr;  // its address: the object may be gone
  std::string_view why;          // what it waits in, as reports have it; for ever valid
  std::string name;
  std::int64_t value = 0;
};

// What is kept, the oldest first; nothing, if nothing is recorded. Recording goes on meanwhile. Never blocks. Throws
// std::bad_alloc. Memory: 64 bytes an event on the way, and the events. Go: nothing; golang.org/x/exp/trace reads files.
std::vector<trace_event> read_trace();

}  // namespace turnkey::diagnostics
