#include "diagnostics/dump.hpp"

#include <turnkey/diagnostics.hpp>

#include <ostream>
#include <string>

#include "diagnostics/census.hpp"
#include "diagnostics/install.hpp"
#include "diagnostics/waits.hpp"
#include "parking/hooks.hpp"
#include "parking/thread_control.hpp"
#include "platform/clock.hpp"
#include "platform/source_line.hpp"
#include "platform/thread.hpp"
#include "platform/thread_stack.hpp"
#include "runtime/goroutine_pool.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::thread_control;
using platform::text;

std::string_view to_string(activity what) noexcept {
  switch (what) {
    case activity::waiting: return "waiting";
    case activity::running:
    case activity::silent: return "running";
    case activity::runnable:
    case activity::not_started: return "runnable";
    case activity::changing: return "running";
  }
  return "?";
}

// Entries of one group that are called the same and wait for the same thing: a line.
void write_alike(text& out, const census& all, std::size_t first, std::size_t end, std::int64_t now) noexcept {
  const goroutine_entry& one = all.entry(first);
  const goroutine_group& group = all.group_of(one);
  const bool are_many = end - first > 1;
  if (are_many) out << std::uint64_t{end - first} << ' ';
  out << (are_many ? "goroutines" : "goroutine");
  if (!are_many) out << ' ' << one.id;
  if (!one.get_name().empty()) out << " \"" << one.get_name() << '"';
  if (are_many) {
    for (std::size_t i = first; i < end; ++i) out << (i == first ? ": " : ", ") << all.entry(i).id;
  }
  if (group.what != activity::waiting) {
    out << " [" << to_string(group.what) << "]:\n";
    return;
  }
  std::int64_t earliest = one.wait.since;
  std::int64_t latest = one.wait.since;
  for (std::size_t i = first; i < end; ++i) {
    earliest = std::min(earliest, all.entry(i).wait.since);
    latest = std::max(latest, all.entry(i).wait.since);
  }
  write_reason(out, one.wait, now - latest, now - earliest);
  write_object(out, one.wait);
  out << '\n';
}

void write_group(text& out, const census& all, std::size_t first, std::size_t end, std::int64_t now) noexcept {
  const goroutine_group& group = all.group_of(all.entry(first));
  out << '\n';
  for (std::size_t from = first; from < end;) {
    std::size_t to = from + 1;
    while (to < end && all.entry(to).get_name() == all.entry(from).get_name() &&
           all.entry(to).wait.object == all.entry(from).wait.object) {
      ++to;
    }
    write_alike(out, all, from, to, now);
    from = to;
  }
  switch (group.what) {
    case activity::waiting:
    case activity::running:
    case activity::runnable: out.stack_at(group.frames); break;
    case activity::silent: out << "    (its thread does not answer)\n"; break;
    case activity::changing: out << "    (it went on whenever it was looked at)\n"; break;
    case activity::not_started: break;
  }
  if (group.site == nullptr) return;
  out << "created by ";
  out.caller_at(group.site);
  if (group.has_one_creator && group.creator != 0) out << ", in goroutine " << group.creator;
  out << '\n';
}

}  // namespace

void write_control(text& out, const parking::control& who) noexcept {
  const wait_state wait = read_wait(who);
  who.describe(out);
  if (wait.is_parked) {
    const std::int64_t waited = platform::now() - wait.since;
    write_reason(out, wait, waited, waited);
    write_object(out, wait);
    out << '\n';
  } else {
    out << " [running]:\n";
  }
  write_stack(out, who);
}

void write_stack(text& out, const parking::control& who) noexcept {
  if (&who == parking::current_control) {
    out.stack();
    return;
  }
  if (who.is_thread()) {
    platform::stack_frames frames;
    const std::int32_t thread = static_cast<const thread_control&>(who).thread();
    if (thread != 0 && platform::take_frames_of_thread(thread, frames)) {
      out.stack_at(frames);
    } else {
      out << "    (it does not answer)\n";
    }
    return;
  }
  constexpr int patience = 1000;
  for (int i = 0; i < patience && who.wanted().lock != nullptr && !read_wait(who).is_parked; ++i) {
    platform::yield_thread();
  }
  goroutine_group seen;
  goroutine_entry entry;
  if (observe(static_cast<const runtime::goroutine&>(who), seen, entry)) out.stack_at(seen.frames);
}

bool write_goroutines(text& out) noexcept {
  census all;
  bool is_any = false;
  for (std::uint32_t next = 0;;) {
    const std::uint32_t first = next;
    next = all.take(first);
    if (next == first) {
      if (first != runtime::goroutine_pool::record_count()) out << "\n(no memory to look at more goroutines)\n";
      return is_any;
    }
    const std::int64_t now = platform::now();
    for (std::size_t from = 0; from < all.size();) {
      std::size_t to = from + 1;
      while (to < all.size() && all.entry(to).group == all.entry(from).group) ++to;
      write_group(out, all, from, to, now);
      is_any = true;
      from = to;
    }
  }
}

bool write_threads(text& out) noexcept {
  constexpr int most_silent = 4;  // each takes half a second
  int silent = 0;
  bool is_any = false;
  for (thread_control* t = thread_control::all(); t != nullptr; t = t->next()) {
    const std::int32_t thread = t->thread();
    const wait_state wait = read_wait(*t);
    if (thread == 0 || !wait.is_parked) continue;
    is_any = true;
    const std::int64_t waited = platform::now() - wait.since;
    out << '\n';
    t->describe(out);
    write_reason(out, wait, waited, waited);
    write_object(out, wait);
    out << '\n';
    platform::stack_frames frames;
    if (silent == most_silent) {
      out << "    (not asked, since others do not answer)\n";
    } else if (platform::take_frames_of_thread(thread, frames)) {
      out.stack_at(frames);
    } else {
      out << "    (it does not answer)\n";
      ++silent;
    }
  }
  return is_any;
}

namespace {

void write_all(text& out) noexcept {
  const bool are_goroutines = write_goroutines(out);
  const bool are_threads = write_threads(out);
  if (!are_goroutines && !are_threads) out << "\nno goroutine, and no thread that waits\n";
  out.flush();
}

// For SIGQUIT, on the monitor. Whoever hangs may hold malloc's locks, so there are no source lines.
void dump_to_stderr() noexcept {
  constexpr std::size_t size = 64 << 10;
  static constinit char buffer[size] = {};
  const platform::without_source_lines plain;
  text out(
      buffer, sizeof buffer, [](void*, std::string_view piece) noexcept { platform::write_error(piece); }, nullptr);
  out << "SIGQUIT: quit\n";
  write_all(out);
}

struct growing {
  std::string all;
  bool is_cut = false;

  static void append(void* raw, std::string_view piece) noexcept {
    auto& to = *static_cast<growing*>(raw);
    try {
      if (!to.is_cut) to.all += piece;
    } catch (...) {
      to.is_cut = true;
    }
  }
};

}  // namespace

void offer_dump() noexcept { parking::on_dump.store(dump_to_stderr, std::memory_order_release); }

// Into a string first: the stream may be anything, and wait for anybody.
void dump(std::ostream& to) {
  growing collected;
  {
    char buffer[2048];
    text out(buffer, sizeof buffer, growing::append, &collected);
    write_all(out);
  }
  // The first is an empty line.
  if (!collected.all.empty()) to << std::string_view(collected.all).substr(1);
  if (collected.is_cut) to << "\n... (cut here: out of memory)\n";
}

}  // namespace turnkey::diagnostics
