// The writer of trace files.
//
// A process with a track for each thread of control. A track is what the format calls a thread: OS threads have their own
// numbers, and goroutines such as no thread can have. On a goroutine's track are its running, runnable and waiting slices,
// inside those of the locks that it holds; on a worker's the goroutines that it carries. A flow leads from the slice of the
// one that wakes to the slice in which the woken one runs again.
//
// Times are microseconds with three decimals: nanoseconds. Slices are written outer before inner where they begin together,
// and before the flows that end where they begin: readers keep the order of equal times.
#include "diagnostics/trace_json.hpp"

#include <algorithm>

#include "diagnostics/names.hpp"
#include "diagnostics/waits.hpp"
#include "platform/report.hpp"
#include "platform/thread.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::reason;
using platform::text;
using kind = trace_slice::kind;

// Above the kernel's largest thread id, 2^22.
constexpr std::uint64_t first_goroutine_track = 10'000'000;
constexpr std::uint64_t most_goroutine_tracks = 2'000'000'000;  // readers keep 32 bits of a track's number

// How many bytes the UTF-8 character at the beginning has; 0: it is none.
std::size_t utf8_length(std::string_view bytes) noexcept {
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  if (first >= 0xc2 && first <= 0xdf) length = 2;
  if (first >= 0xe0 && first <= 0xef) length = 3;
  if (first >= 0xf0 && first <= 0xf4) length = 4;
  if (length == 0 || length > bytes.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  // Longer than needed, half of a pair, or beyond the last one.
  if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) > 0x9f) || (first == 0xf0 && at(1) < 0x90) ||
      (first == 0xf4 && at(1) > 0x8f)) {
    return 0;
  }
  return length;
}

// What stands between the quotes of a JSON string. Bytes that are no UTF-8 become the replacement character.
void write_escaped(text& out, std::string_view piece) noexcept {
  while (!piece.empty()) {
    const auto c = static_cast<unsigned char>(piece[0]);
    const std::size_t length = utf8_length(piece);
    if (length == 0) {
      out << "\\ufffd";
    } else if (c < 0x20 || c == 0x7f) {
      out << "\\u00"
          << "0123456789abcdef"[c >> 4] << "0123456789abcdef"[c & 15];
    } else {
      if (c == '"' || c == '\\') out << '\\';
      out << piece.substr(0, length);
    }
    piece.remove_prefix(std::max(length, std::size_t{1}));
  }
}

class writer {
 public:
  writer(platform::output_file& file, const trace_story& story, const trace_summary& summary, char* buffer,
         std::size_t size) noexcept
      : out_(
            buffer, size,
            [](void* to, std::string_view piece) noexcept { static_cast<platform::output_file*>(to)->write(piece); },
            &file),
        story_(story),
        summary_(summary) {}

  void write() noexcept;

 private:
  void write_track(const trace_track& track) noexcept;
  void write_slice(const trace_slice& slice) noexcept;
  void write_arguments(const trace_slice& slice) noexcept;
  void write_wake(const trace_wake& wake, std::uint64_t id) noexcept;
  void write_mark(const trace_record& r) noexcept;

  // The pieces of an event. A string's content is escaped by those that write it.
  text& begin_event(std::string_view phase) noexcept {
    out_ << (is_first_ ? "\n{\"ph\":\"" : ",\n{\"ph\":\"") << phase << "\",\"pid\":" << process_;
    is_first_ = false;
    return out_;
  }
  void write_time(std::string_view key, std::int64_t nanoseconds) noexcept {
    out_ << ",\"" << key << "\":";
    if (nanoseconds < 0) out_ << '-';
    const std::uint64_t size =
        nanoseconds < 0 ? 0 - static_cast<std::uint64_t>(nanoseconds) : static_cast<std::uint64_t>(nanoseconds);
    const std::uint64_t rest = size % 1000;
    out_ << size / 1000 << '.' << rest / 100 << rest / 10 % 10 << rest % 10;
  }
  void write_when(std::int64_t when) noexcept { write_time("ts", when - summary_.began); }
  void write_tid(party track) noexcept {
    out_ << ",\"tid\":"
         << (track.is_thread() ? track.number() : first_goroutine_track + track.number() % most_goroutine_tracks);
  }
  text& argument(std::string_view key) noexcept {
    out_ << (is_first_argument_ ? ",\"args\":{\"" : ",\"") << key << "\":";
    is_first_argument_ = false;
    return out_;
  }
  void end_event() noexcept {
    out_ << (is_first_argument_ ? "}" : "}}");
    is_first_argument_ = true;
  }
  void write_string(std::string_view value) noexcept {
    out_ << '"';
    write_escaped(out_, value);
    out_ << '"';
  }
  void write_party(party who) noexcept;
  void write_object(reason why, std::uint64_t object) noexcept;

  text out_;
  const trace_story& story_;
  const trace_summary& summary_;
  const int process_ = platform::process_id();
  bool is_first_ = true;
  bool is_first_argument_ = true;
};

// `goroutine 7 "writer"`, within a string.
void writer::write_party(party who) noexcept {
  if (who.is_nobody()) {
    out_ << "a timer";
  } else if (who.are_readers()) {
    out_ << who.number() << (who.number() == 1 ? " reader" : " readers");
  } else if (who.is_thread()) {
    out_ << "thread " << who.number();
  } else {
    out_ << "goroutine " << who.number();
    const trace_track* const track = story_.find(who);
    if (track == nullptr || track->get_name().empty()) return;
    out_ << " \\\"";
    write_escaped(out_, track->get_name());
    out_ << "\\\"";
  }
}

// `mutex "accounts" 0x...`, within a string.
void writer::write_object(reason why, std::uint64_t object) noexcept {
  char buffer[128];
  text name(buffer, sizeof buffer);
  write_object_name(name << object_kind(why) << ' ', reinterpret_cast<const void*>(object));
  write_escaped(out_, name.view());
}

void writer::write_track(const trace_track& track) noexcept {
  begin_event("M");
  write_tid(track.who);
  out_ << ",\"name\":\"thread_name\"";
  argument("name") << '"';
  if (track.who.is_thread()) {
    const auto id = static_cast<std::int32_t>(track.who.number());
    char buffer[16];
    const std::string_view name = platform::thread_name(id, buffer);
    write_escaped(out_, !name.empty() ? name : track.is_worker ? "turnkey-worker" : "ended");
    out_ << ' ' << id;
  } else {
    write_party(track.who);
  }
  out_ << '"';
  end_event();
  begin_event("M");
  write_tid(track.who);
  out_ << ",\"name\":\"thread_sort_index\"";
  // Goroutines first; workers last.
  constexpr std::uint64_t many = 1'000'000'000;
  argument("sort_index") << (track.who.is_goroutine() ? std::min(track.who.number(), many)
                                                      : many + (track.is_worker ? 1 : 0));
  end_event();
}

void writer::write_arguments(const trace_slice& slice) noexcept {
  const auto party_argument = [this](std::string_view key, party who) {
    argument(key) << '"';
    write_party(who);
    out_ << '"';
  };
  switch (slice.what) {
    case kind::running:
      if (slice.track.is_goroutine()) party_argument("on", party::thread(slice.thread));
      break;
    case kind::runnable:
      if (!slice.other.is_nobody()) party_argument("made_ready_by", slice.other);
      break;
    case kind::waiting:
      if (!object_kind(slice.why).empty()) {
        argument("for") << '"';
        write_object(slice.why, slice.object);
        out_ << '"';
      }
      if (!slice.other.is_nobody()) party_argument("held_by", slice.other);
      if (!slice.is_unfinished) party_argument("woken_by", slice.waker);
      break;
    case kind::holding:
      argument("lock") << '"';
      write_object(slice.why, slice.object);
      out_ << '"';
      argument("by");
      write_string(parking::to_string(slice.why));
      break;
    case kind::carrying:
    case kind::idle: break;
  }
  if (slice.is_unfinished) argument("unfinished") << "true";
}

void writer::write_slice(const trace_slice& slice) noexcept {
  begin_event("X");
  write_tid(slice.track);
  write_when(slice.begin);
  write_time("dur", slice.end - slice.begin);
  out_ << ",\"cat\":\"";
  switch (slice.what) {
    case kind::running: out_ << "run\",\"name\":\"running\""; break;
    case kind::runnable: out_ << "run\",\"name\":\"runnable\""; break;
    case kind::idle: out_ << "worker\",\"name\":\"idle\""; break;
    case kind::waiting:
      out_ << "wait\",\"name\":";
      write_string(parking::to_string(slice.why));
      break;
    case kind::holding:
      out_ << "lock\",\"name\":\"" << (slice.why == reason::rw_mutex_lock_shared ? "reads " : "holds ");
      if (const std::string_view name = name_of(reinterpret_cast<const void*>(slice.object)); !name.empty()) {
        write_escaped(out_, name);
      } else {
        write_object(slice.why, slice.object);
      }
      out_ << '"';
      break;
    case kind::carrying:
      out_ << "worker\",\"name\":\"";
      write_party(slice.other);
      out_ << '"';
      break;
  }
  write_arguments(slice);
  end_event();
}

void writer::write_wake(const trace_wake& wake, std::uint64_t id) noexcept {
  begin_event("s") << ",\"id\":" << id;
  write_tid(wake.from);
  write_when(wake.from_time);
  out_ << ",\"cat\":\"wake\",\"name\":\"wakes\"";
  end_event();
  begin_event("f") << ",\"bp\":\"e\",\"id\":" << id;
  write_tid(wake.to);
  write_when(wake.to_time);
  out_ << ",\"cat\":\"wake\",\"name\":\"wakes\"";
  end_event();
}

void writer::write_mark(const trace_record& r) noexcept {
  const bool is_counter = r.what() == trace_kind::counts;
  if ((!is_counter && r.what() != trace_kind::marks) || r.when() < story_.since()) return;
  begin_event(is_counter ? "C" : "i");
  write_tid(r.who().is_nobody() ? party::thread(r.thread()) : r.who());
  write_when(r.when());
  out_ << ",\"cat\":\"mark\",\"name\":";
  write_string(r.text());
  if (is_counter) {
    argument("value") << static_cast<std::int64_t>(r.object());
  } else {
    out_ << ",\"s\":\"t\"";
  }
  end_event();
}

void writer::write() noexcept {
  out_ << "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"recorded_by\":\"turnkey\",\"events\":" << summary_.recorded
       << ",\"events_overwritten\":" << summary_.lost << ",\"is_cut\":" << (story_.is_cut() ? "true" : "false")
       << "},\n\"traceEvents\":[";
  begin_event("M") << ",\"name\":\"process_name\"";
  char buffer[16];
  argument("name");
  write_string(platform::thread_name(process_, buffer));
  end_event();
  for (const trace_track& track : story_.tracks()) write_track(track);
  for (const trace_slice& slice : story_.slices()) write_slice(slice);
  std::uint64_t id = 0;
  for (const trace_wake& wake : story_.wakes()) write_wake(wake, ++id);
  for (const trace_record& r : story_.records()) write_mark(r);
  out_ << "\n]}\n";
  out_.flush();
}

}  // namespace

void write_chrome_json(platform::output_file& file, const trace_story& story, const trace_summary& summary) noexcept {
  // Mapped: the stack may be small.
  mapped_array<char> buffer;
  constexpr std::size_t size = std::size_t{64} << 10;
  if (!buffer.resize(size)) return;
  writer(file, story, summary, buffer.begin(), size).write();
}

}  // namespace turnkey::diagnostics
