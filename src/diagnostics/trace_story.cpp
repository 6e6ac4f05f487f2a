// From records to slices: one walk through the records in the order of time, with what each track does at the moment.
//
// A goroutine is running, runnable or waiting; the record that ends one begins the next. What has been overwritten is not
// known: a track begins with the first record that says what it does, and the end of what has not been seen to begin is
// passed over. Who still waits when the trace is written is asked, so that one whose wait began before all that is kept is
// there all the same.
//
// A wake is noted at the woken one, and counts when that goes on: the last one is what has ended the wait. (One may be
// signalled before it has begun to wait, and then not wait at all; such a wake is forgotten for the next.)
//
// Locks need not be let go in the order in which they were taken, and are held across waits, so a lock's stretch does not
// nest with others as it is. So what a track does is cut where a lock is taken or let go, and when a lock goes that others
// were taken after, those are cut, too.
#include "diagnostics/trace_story.hpp"

#include <algorithm>
#include <bit>

#include "diagnostics/waits.hpp"
#include "platform/thread.hpp"

namespace turnkey::diagnostics {

namespace {

using kind = trace_slice::kind;
constexpr std::uint32_t no_track = UINT32_MAX;

}  // namespace

// ---- Tracks ---------------------------------------------------------------------------------------------------------

// Where `who` is in the table, or belongs.
std::size_t trace_story::place_of(party who) const noexcept {
  for (std::size_t place = (who.word() * 0x9e3779b97f4a7c15) >> 32;; ++place) {
    const std::uint32_t entry = table_[place & (table_.size() - 1)];
    if (entry == 0 || tracks_[entry - 1].who == who) return place & (table_.size() - 1);
  }
}

bool trace_story::grow_table() noexcept {
  constexpr std::size_t first_size = 1024;
  const std::size_t size = std::max(first_size, table_.size() * 2);
  if (!table_.resize(0) || !table_.resize(size)) return false;
  for (std::uint32_t i = 0; i < tracks_.size(); ++i) table_[place_of(tracks_[i].who)] = i + 1;
  return true;
}

// no_track: no memory, or nobody.
std::uint32_t trace_story::index_of(party who) noexcept {
  if (who.is_nobody() || who.are_readers()) return no_track;
  if (tracks_.size() * 2 >= table_.size() && !grow_table()) {
    is_cut_ = true;
    return no_track;
  }
  std::uint32_t& place = table_[place_of(who)];
  if (place != 0) return place - 1;
  if (!states_.push_back({}) || !tracks_.push_back({.who = who, .name = {}, .is_worker = false})) {
    is_cut_ = true;
    return no_track;
  }
  place = static_cast<std::uint32_t>(tracks_.size());
  return place - 1;
}

const trace_track* trace_story::find(party who) const noexcept {
  if (table_.size() == 0) return nullptr;
  const std::uint32_t entry = table_[place_of(who)];
  return entry == 0 ? nullptr : &tracks_[entry - 1];
}

// ---- Slices ---------------------------------------------------------------------------------------------------------

void trace_story::emit(trace_slice slice, std::int64_t end) noexcept {
  slice.end = end;
  slice.begin = std::max(slice.begin, since_);
  if (slice.end > slice.begin && !slices_.push_back(slice)) is_cut_ = true;
}

void trace_story::begin(std::uint32_t track, kind what, std::int64_t when) noexcept {
  state& its = states_[track];
  its.does_something = true;
  its.now = {};
  its.now.begin = when;
  its.now.track = tracks_[track].who;
  its.now.what = what;
}

// What it does goes on, but in another slice.
void trace_story::cut(std::uint32_t track, std::int64_t when) noexcept {
  state& its = states_[track];
  if (!its.does_something) return;
  its.now.depth = static_cast<std::uint8_t>(std::min(its.hold_count, std::uint32_t{UINT8_MAX}));
  emit(its.now, when);
  its.now.begin = std::max(when, its.now.begin);
}

void trace_story::end(std::uint32_t track, std::int64_t when) noexcept {
  cut(track, when);
  states_[track].does_something = false;
}

// It does something itself, so it runs, if nothing else is known of it.
void trace_story::seen(std::uint32_t track, std::int64_t when) noexcept {
  if (!states_[track].does_something && !tracks_[track].is_worker) begin(track, kind::running, when);
  states_[track].seen = when;
}

// Up to the wake it waited, since then it has been ready.
void trace_story::end_wait(std::uint32_t track, std::int64_t when) noexcept {
  state& its = states_[track];
  if (its.does_something && its.now.what == kind::waiting) {
    const std::int64_t woken = its.woken_at == 0 ? when : std::clamp(its.woken_at, its.now.begin, when);
    its.now.waker = its.waker;
    end(track, woken);
    begin(track, kind::runnable, woken);
  }
  if (its.does_something && its.now.what == kind::runnable) its.now.other = its.waker;
  end(track, when);
}

void trace_story::go_on(std::uint32_t track, std::int64_t when, std::int32_t thread) noexcept {
  state& its = states_[track];
  const bool has_waited = its.does_something && its.now.what != kind::running;
  end_wait(track, when);
  if (has_waited && its.woken_at != 0 && its.woken_at >= since_ && !its.waker_track.is_nobody()) {
    const trace_wake wake{
        .from_time = its.woken_at, .to_time = when, .from = its.waker_track, .to = tracks_[track].who};
    if (!wakes_.push_back(wake)) is_cut_ = true;
  }
  its.woken_at = 0;
  its.waker = {};
  begin(track, kind::running, when);
  its.now.thread = thread;
  its.seen = when;
}

// ---- Locks ----------------------------------------------------------------------------------------------------------

void trace_story::emit_hold(std::uint32_t track, const hold& h, std::uint32_t depth, std::int64_t end,
                            bool is_unfinished) noexcept {
  trace_slice slice{};
  slice.begin = h.since;
  slice.track = tracks_[track].who;
  slice.object = h.lock;
  slice.what = kind::holding;
  slice.why = h.how;
  slice.depth = static_cast<std::uint8_t>(std::min(depth, std::uint32_t{UINT8_MAX}));
  slice.is_unfinished = is_unfinished;
  emit(slice, end);
}

void trace_story::add_hold(std::uint32_t track, const trace_record& r) noexcept {
  cut(track, r.when());
  state& its = states_[track];
  const hold added{.lock = r.object(), .since = r.when(), .how = r.why(), .below = its.top_hold, .track = track};
  std::size_t place = 0;
  constexpr std::size_t looks = 64;  // for a free place; else a new one
  while (place < std::min(holds_.size(), looks) && holds_[place].track != no_track) ++place;
  if (place == std::min(holds_.size(), looks)) {
    place = holds_.size();
    if (!holds_.push_back(added)) {
      is_cut_ = true;
      return;
    }
  } else {
    holds_[place] = added;
  }
  its.top_hold = static_cast<std::uint32_t>(place) + 1;
  ++its.hold_count;
}

// The one of that lock which it took last; those that it has taken since are cut. False: it has none.
bool trace_story::remove_hold(std::uint32_t track, std::uint64_t lock, std::int64_t when) noexcept {
  state& its = states_[track];
  std::uint32_t* link = &its.top_hold;
  std::uint32_t depth = its.hold_count;
  while (*link != 0 && holds_[*link - 1].lock != lock) {
    link = &holds_[*link - 1].below;
    --depth;
  }
  if (*link == 0) return false;
  cut(track, when);
  std::uint32_t above = its.hold_count;
  for (std::uint32_t i = its.top_hold; i != *link; i = holds_[i - 1].below) {
    emit_hold(track, holds_[i - 1], --above, when, false);
    holds_[i - 1].since = when;
  }
  hold& gone = holds_[*link - 1];
  emit_hold(track, gone, depth - 1, when, false);
  gone.track = no_track;
  *link = gone.below;
  --its.hold_count;
  return true;
}

// Another one unlocks it than has locked it; or its lock was before all that is kept.
void trace_story::remove_hold_of_anybody(std::uint64_t lock, std::int64_t when) noexcept {
  for (const hold& each : holds_) {
    if (each.track == no_track || each.lock != lock) continue;
    remove_hold(each.track, lock, when);
    return;
  }
}

// ---- Records --------------------------------------------------------------------------------------------------------

// A worker takes up a goroutine, or has none. The one that it had has yielded, if it has not said what else.
void trace_story::carry(const trace_record& r) noexcept {
  const std::uint32_t worker = index_of(party::thread(r.thread()));
  const std::uint32_t next = r.what() == trace_kind::runs ? index_of(r.who()) : no_track;
  if (worker != no_track) {
    const state& its = states_[worker];
    const std::uint32_t before =
        its.does_something && its.now.what == kind::carrying ? index_of(its.now.other) : no_track;
    if (before != no_track && before != next && states_[before].does_something &&
        states_[before].now.what == kind::running && states_[before].now.thread == r.thread()) {
      end(before, r.when());
      begin(before, kind::runnable, r.when());
    }
    tracks_[worker].is_worker = true;
    end(worker, r.when());
    begin(worker, next != no_track ? kind::carrying : kind::idle, r.when());
    states_[worker].now.other = r.who();
    states_[worker].seen = r.when();
  }
  if (next != no_track) go_on(next, r.when(), r.thread());
}

void trace_story::take_in(const trace_record& r) noexcept {
  const std::int64_t when = r.when();
  if (r.what() == trace_kind::runs || r.what() == trace_kind::idle) return carry(r);
  // What nobody does - a timer - is done on a thread, where it is shown.
  const party doer = r.who().is_nobody() ? party::thread(r.thread()) : r.who();
  const std::uint32_t who = index_of(doer);
  if (who == no_track) return;
  if (r.what() == trace_kind::goes_on) return go_on(who, when, 0);
  seen(who, when);
  switch (r.what()) {
    case trace_kind::created:
    case trace_kind::wakes: {
      const std::uint32_t whom = index_of(r.whom());
      if (whom == no_track) break;
      state& its = states_[whom];
      its.woken_at = when;
      its.waker = r.who();
      its.waker_track = doer == r.whom() ? party() : doer;
      if (r.what() != trace_kind::created) break;
      const std::string_view name = r.text();
      std::copy(name.begin(), name.end(), tracks_[whom].name);
      end(whom, when);
      begin(whom, kind::runnable, when);
      break;
    }
    case trace_kind::ended: end(who, when); break;
    case trace_kind::waits:
      end(who, when);
      begin(who, kind::waiting, when);
      states_[who].now.object = r.object();
      states_[who].now.why = r.why();
      states_[who].now.other = r.holder();
      break;
    case trace_kind::locks: add_hold(who, r); break;
    case trace_kind::unlocks:
      if (!remove_hold(who, r.object(), when)) remove_hold_of_anybody(r.object(), when);
      break;
    case trace_kind::runs:
    case trace_kind::idle:
    case trace_kind::goes_on:
    case trace_kind::counts:
    case trace_kind::marks: break;
  }
}

// ---- The end --------------------------------------------------------------------------------------------------------

// It is there still. If it waits, then for that, even if the record of it has been overwritten; and no wake that is known was
// for this wait.
void trace_story::look_at(const parking::control& who, party its_party) noexcept {
  const wait_state wait = who.waiting() != nullptr ? read_wait(who) : wait_state();
  if (!wait.is_parked || wait.since == 0 || wait.since >= now_) return;
  const std::uint32_t track = index_of(its_party);
  if (track == no_track) return;
  state& its = states_[track];
  if (!its.does_something) {
    begin(track, kind::waiting, wait.since);
    its.now.object = reinterpret_cast<std::uintptr_t>(wait.object);
    its.now.why = wait.why;
  }
  if (its.now.what == kind::waiting) its.woken_at = 0;
  its.seen = now_;
}

// The start of a goroutine may have been overwritten, and its name with it.
void trace_story::look_for_name(const runtime::goroutine& g, party its_party) noexcept {
  const trace_track* const known = find(its_party);
  if (known == nullptr || known->name[0] != '\0') return;
  // It may be another's record by now.
  trace_track& track = tracks_[index_of(its_party)];
  const std::string_view name = g.name();
  std::copy_n(name.begin(), std::min(name.size(), sizeof track.name - 1), track.name);
  if (g.id() != its_party.number()) track.name[0] = '\0';
}

void trace_story::look_at_the_living() noexcept {
  for_each_control([this](const parking::control& who) {
    if (has_ended(who)) return;
    const party its_party = party_of(who);
    look_at(who, its_party);
    if (!who.is_thread()) look_for_name(static_cast<const runtime::goroutine&>(who), its_party);
  });
}

// What goes on, goes on until now; a thread that has ended, until it was last seen.
void trace_story::finish() noexcept {
  for (std::uint32_t track = 0; track < tracks_.size(); ++track) {
    state& its = states_[track];
    const party who = tracks_[track].who;
    const bool has_ended = who.is_thread() && !platform::is_thread_there(static_cast<std::int32_t>(who.number()));
    const std::int64_t until = std::max(has_ended ? its.seen : now_, its.seen);
    if (its.does_something) {
      its.now.is_unfinished = !has_ended;
      if (its.now.what == kind::waiting && its.woken_at != 0) {
        its.now.waker = its.waker;
        end(track, std::clamp(its.woken_at, its.now.begin, until));
        begin(track, kind::runnable, std::max(its.woken_at, its.now.begin));
        its.now.is_unfinished = true;
      }
      if (its.now.what == kind::runnable) its.now.other = its.waker;
      end(track, until);
    }
    std::uint32_t depth = its.hold_count;
    for (std::uint32_t i = its.top_hold; i != 0; i = holds_[i - 1].below) {
      emit_hold(track, holds_[i - 1], --depth, until, true);
    }
  }
}

void trace_story::tell() noexcept {
  for (const trace_record& r : records_) {
    if (r.when() <= now_) take_in(r);
  }
  look_at_the_living();
  finish();
  std::sort(slices_.begin(), slices_.end(), [](const trace_slice& a, const trace_slice& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.depth < b.depth;
  });
}

}  // namespace turnkey::diagnostics
