// The contention profile: which stacks unlock what others wait for, and, if that is wanted, what they have held how long.
//
// Recording: parking::contention says how long waiters have waited, on the stack of the one that lets them in, and
// diagnostics/lock_watch.cpp how long a lock was held, on the stack of the one that unlocks it. That stack,
// as addresses, is an entry in a table, found by its hash; entries are added and never go. The stack is taken outside of
// the table's lock. Nothing allocates: entries and their frames are in arrays of a fixed size, whose pages cost nothing
// until they are used. A stack that finds no room is counted without its frames (`homeless`).
//
// Writing: the entries are copied, the library's own frames taken off, stacks that are the same then made one, and what
// can be found of names and lines added.
#include "diagnostics/mutex_profile.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <turnkey/diagnostics.hpp>

#include "diagnostics/pprof.hpp"
#include "parking/hooks.hpp"
#include "platform/environment.hpp"
#include "platform/file.hpp"
#include "platform/mapping.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "platform/sanitizer.hpp"
#include "platform/source_line.hpp"
#include "platform/stack_trace.hpp"
#include "platform/symbol.hpp"
#include "platform/thread.hpp"

namespace turnkey::diagnostics {

namespace {

// --- recording -----------------------------------------------------------------------------------------------------

struct weight {
  std::uint64_t contentions = 0;
  std::uint64_t delay = 0;  // nanoseconds
  std::uint64_t holds = 0;
  std::uint64_t held = 0;  // nanoseconds

  weight& operator+=(const weight& more) noexcept {
    contentions += more.contentions;
    delay += more.delay;
    holds += more.holds;
    held += more.held;
    return *this;
  }
};

struct entry {
  std::uint64_t hash;
  std::uint32_t first_frame;
  std::uint32_t frame_count;
  weight total;
};

constexpr std::size_t most_entries = 4096;         // half of the slots, so that a search ends soon
constexpr std::size_t most_kept_frames = 1 << 17;  // of all stacks together

struct table {
  platform::raw_lock lock;
  std::uint32_t entry_count = 0;
  std::uint32_t frame_count = 0;
  weight homeless;
  std::array<std::uint16_t, 2 * most_entries> slots{};  // an entry's number, plus one
  std::array<entry, most_entries> entries{};
  std::array<std::uintptr_t, most_kept_frames> frames{};
};
constinit table recorded;
constinit std::atomic<int> fraction{0};
constinit platform::raw_lock fraction_lock;
constinit bool are_holds_wanted = false;  // set before main

// A well mixed number from one that is not (splitmix64).
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// True for one call in `rate`, on average and at random: what comes in a rhythm must not be missed for ever.
bool is_sampled(int rate) noexcept {
  static constinit std::atomic<std::uint64_t> calls{0};
  if (rate == 1) return true;
  return mix(calls.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed)) % static_cast<std::uint64_t>(rate) == 0;
}

// Under the lock.
weight& place_of(const platform::stack_frames& found, std::uint64_t hash) noexcept {
  const auto count = static_cast<std::uint32_t>(found.count);
  std::size_t slot = hash % recorded.slots.size();
  for (; recorded.slots[slot] != 0; slot = (slot + 1) % recorded.slots.size()) {
    entry& candidate = recorded.entries[recorded.slots[slot] - 1u];
    if (candidate.hash == hash && candidate.frame_count == count &&
        std::equal(found.at, found.at + count, recorded.frames.begin() + candidate.first_frame)) {
      return candidate.total;
    }
  }
  if (recorded.entry_count == most_entries || most_kept_frames - recorded.frame_count < count) return recorded.homeless;
  std::copy(found.at, found.at + count, recorded.frames.begin() + recorded.frame_count);
  entry& added = recorded.entries[recorded.entry_count++];
  added = {.hash = hash, .first_frame = recorded.frame_count, .frame_count = count, .total = {}};
  recorded.frame_count += count;
  recorded.slots[slot] = static_cast<std::uint16_t>(recorded.entry_count);
  return added.total;
}

// What the caller's stack is charged with, if this is one of those that count.
void charge(weight one) noexcept {
  const int rate = fraction.load(std::memory_order_relaxed);
  if (rate == 0 || !is_sampled(rate)) return;
  const platform::tsan_ignore ignore;  // the copies, which are watched
  platform::stack_frames found;
  platform::take_own_frames(found);
  std::uint64_t hash = 0;
  for (int i = 0; i < found.count; ++i) hash = mix(hash + found.at[i]);
  const auto scale = static_cast<std::uint64_t>(rate);
  for (std::uint64_t* value : {&one.contentions, &one.delay, &one.holds, &one.held}) *value *= scale;
  recorded.lock.lock();
  place_of(found, hash) += one;
  recorded.lock.unlock();
}

void record_delay(std::int64_t delay) noexcept {
  charge({.contentions = 1, .delay = static_cast<std::uint64_t>(delay)});
}

// --- writing -------------------------------------------------------------------------------------------------------

using stack = std::vector<std::uintptr_t>;  // innermost first

// The mangled name; empty if nobody knows.
std::string_view name_at(std::uintptr_t address) noexcept {
  const char* const name = platform::find_symbol(address).name;
  return name != nullptr ? name : std::string_view();
}

// What a user knows of a stack: from the public function that unlocks - or from the last one before the user's, where the
// compiler has left that one out - to main, or to what a goroutine was started with.
stack trim(const std::uintptr_t* frames, std::uint32_t count) {
  std::uint32_t begin = 0;
  while (begin < count && platform::is_internal(name_at(frames[begin]))) ++begin;
  if (begin != 0 && (begin == count || !name_at(frames[begin]).starts_with("_ZN7turnkey"))) --begin;
  std::uint32_t end = begin;
  while (end < count) {
    const std::string_view name = name_at(frames[end]);
    if (end != begin && platform::is_internal(name) && name.find("goroutine_main") != std::string_view::npos) break;
    ++end;
    if (name == "main") break;
  }
  return {frames + begin, frames + end};
}

class profile_writer {
 public:
  std::string write();

 private:
  struct module {
    std::uintptr_t start;
    std::uintptr_t limit;
    std::uint64_t file_offset;
    std::string path;
    std::string build_id;
  };

  void find_modules();
  void add_mappings();
  std::uint64_t location_at(std::uintptr_t address);
  std::uint64_t function_of(std::string_view name, std::string_view file);
  void add_sample(std::span<const std::uint64_t> locations, const weight& total);
  static std::vector<entry> copy_entries(weight& homeless);

  pprof profile_;
  std::vector<module> modules_;  // the mapping's id is the index, plus one
  bool has_lines_ = false;
  std::map<std::uintptr_t, std::uint64_t> locations_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> functions_;  // by mangled name and file
};

std::vector<entry> profile_writer::copy_entries(weight& homeless) {
  std::vector<entry> entries(most_entries);
  recorded.lock.lock();
  entries.resize(recorded.entry_count);  // to less: allocates nothing
  std::copy_n(recorded.entries.begin(), entries.size(), entries.begin());
  homeless = recorded.homeless;
  recorded.lock.unlock();
  return entries;
}

void profile_writer::find_modules() {
  platform::for_each_mapping(
      [](const platform::mapping& found, void* raw) {
        auto& writer = *static_cast<profile_writer*>(raw);
        std::string build_id;
        for (const unsigned char byte : found.build_id) {
          for (const int digit : {byte >> 4, byte & 15}) build_id += "0123456789abcdef"[digit];
        }
        writer.modules_.push_back(
            {found.start, found.limit, found.file_offset, std::string(found.path), std::move(build_id)});
      },
      this);
}

// Last, when it is known whether there are lines: a reader that is told so does not look for them itself.
void profile_writer::add_mappings() {
  for (const module& m : modules_) {
    profile_.add_mapping(m.start, m.limit, m.file_offset, m.path, m.build_id, has_lines_);
  }
}

std::uint64_t profile_writer::function_of(std::string_view name, std::string_view file) {
  const auto found = functions_.try_emplace({std::string(name), std::string(file)}, 0).first;
  std::uint64_t& id = found->second;
  if (id == 0) {
    char buffer[4096];
    platform::text readable(buffer, sizeof buffer);
    platform::demangle(readable, found->first.first.c_str());
    id = profile_.add_function(readable.view(), name, file);
  }
  return id;
}

std::uint64_t profile_writer::location_at(std::uintptr_t address) {
  std::uint64_t& id = locations_[address];
  if (id != 0) return id;
  const auto home = std::find_if(modules_.begin(), modules_.end(), [&](const module& candidate) {
    return candidate.start <= address && address < candidate.limit;
  });
  // The functions that were inlined there, if that is known, and the one that the symbol table names.
  std::array<pprof::line, platform::source_lines::most> where;
  std::size_t count = 0;
  const std::string_view symbol = name_at(address);
  const platform::source_lines& lines = platform::find_source_lines(address);
  for (int i = 0; i < lines.count; ++i) {
    const platform::source_line& line = lines.at[i];
    const bool is_last = i + 1 == lines.count;
    const std::string_view inlined = line.function != nullptr ? line.function : "";
    const std::string_view name = is_last && !symbol.empty() ? symbol : inlined;
    // What is the library's has no line of its own, and is left out around what is not.
    if (name.empty() || (is_last && i != 0 && platform::is_library_function(line.function))) continue;
    where[count++] = {.function = function_of(name, line.file != nullptr ? line.file : ""),
                      .number = line.file != nullptr ? static_cast<std::uint64_t>(line.line) : 0};
    has_lines_ = has_lines_ || line.file != nullptr;
  }
  if (count == 0 && !symbol.empty()) where[count++].function = function_of(symbol, "");
  const std::uint64_t mapping = home != modules_.end() ? static_cast<std::uint64_t>(home - modules_.begin()) + 1 : 0;
  id = profile_.add_location(mapping, address, {where.data(), count});
  return id;
}

void profile_writer::add_sample(std::span<const std::uint64_t> locations, const weight& total) {
  const std::array values{total.contentions, total.delay, total.holds, total.held};
  profile_.add_sample(locations, std::span(values).first(are_holds_wanted ? 4 : 2));
}

std::string profile_writer::write() {
  profile_.add_sample_type({"contentions", "count"});
  profile_.add_sample_type({"delay", "nanoseconds"});
  if (are_holds_wanted) {
    profile_.add_sample_type({"holds", "count"});
    profile_.add_sample_type({"held", "nanoseconds"});
    profile_.set_default_sample_type("delay");
  }
  profile_.set_period({"contentions", "count"},
                      static_cast<std::uint64_t>(std::max(1, fraction.load(std::memory_order_relaxed))));
  profile_.set_time(static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count()));
  find_modules();

  weight homeless;
  std::map<stack, weight> stacks;
  for (const entry& e : copy_entries(homeless)) {
    stacks[trim(recorded.frames.data() + e.first_frame, e.frame_count)] += e.total;
  }
  for (const auto& [frames, total] : stacks) {
    std::vector<std::uint64_t> ids;
    for (const std::uintptr_t address : frames) ids.push_back(location_at(address));
    add_sample(ids, total);
  }
  if (homeless.contentions != 0 || homeless.holds != 0) {
    const std::uint64_t nowhere = profile_.add_function("[no room for more stacks]", "", "");
    const std::uint64_t id = profile_.add_location(0, 0, std::array{pprof::line{.function = nowhere}});
    add_sample(std::array{id}, homeless);
  }
  add_mappings();
  return profile_.finish();
}

bool write_file(const std::string& path, std::string_view content) noexcept {
  platform::output_file file(path.c_str());
  file.write(content);
  return file.close();
}

// --- TURNKEY_MUTEX_PROFILE -----------------------------------------------------------------------------------------

constexpr const char* variable = "TURNKEY_MUTEX_PROFILE";
constexpr std::string_view content = "contention profile";
constinit char profile_path[4096] = {};

void write_at_end() noexcept {
  if (!write_mutex_profile(profile_path)) platform::complain_of_file(variable, profile_path, content);
}

}  // namespace

bool start_mutex_profile_as_set() noexcept {
  enum { off, on };
  const bool holds = platform::environment_choice("TURNKEY_MUTEX_PROFILE_HELD", {"0", "1"}, off) == on;
  if (!platform::environment_file(variable, content, profile_path)) return false;
  constexpr std::int64_t largest = 1'000'000'000;
  set_mutex_profile_fraction(
      static_cast<int>(platform::environment_integer("TURNKEY_MUTEX_PROFILE_FRACTION", 1, largest, 1)));
  platform::at_process_end(write_at_end);
  are_holds_wanted = holds;
  return holds;
}

void record_hold(std::int64_t held) noexcept { charge({.holds = 1, .held = static_cast<std::uint64_t>(held)}); }

int set_mutex_profile_fraction(int rate) noexcept {
  if (rate < 0) return fraction.load(std::memory_order_relaxed);
  fraction_lock.lock();  // so that rate and hook fit together
  const int before = fraction.exchange(rate, std::memory_order_relaxed);
  // order: release -- pairs with parking::contention.
  parking::on_contention.store(rate == 0 ? nullptr : record_delay, std::memory_order_release);
  fraction_lock.unlock();
  return before;
}

bool write_mutex_profile(const std::string& path) noexcept {
  struct job {
    const std::string& path;
    bool is_written = false;
  } work{.path = path};
  const platform::tsan_ignore ignore;
  const bool has_run = platform::run_with_symbols(
      [](void* raw) {
        auto& todo = *static_cast<job*>(raw);
        try {
          todo.is_written = write_file(todo.path, profile_writer().write());
        } catch (...) {  // no memory
        }
      },
      &work);
  return has_run && work.is_written;
}

}  // namespace turnkey::diagnostics
