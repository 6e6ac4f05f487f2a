// All goroutines as a report sees them: what each does, with those together that do the same. They go on meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "diagnostics/waits.hpp"
#include "platform/stack_trace.hpp"
#include "runtime/goroutine.hpp"

namespace turnkey::diagnostics {

// What a goroutine does. `changing`: it did not stay the same for long enough to be looked at.
enum class activity : std::uint8_t { waiting, running, silent, runnable, not_started, changing };

struct goroutine_entry {
  wait_state wait;  // if it waits
  std::uint64_t id = 0;
  std::uint32_t group = 0;
  char name[32] = {};
  [[nodiscard]] std::string_view get_name() const noexcept { return name; }
};

// Those with the same activity, reason to wait, stack and place of creation.
struct goroutine_group {
  activity what = activity::changing;
  parking::reason why{};
  const void* site = nullptr;
  std::uint64_t creator = 0;  // 0: an OS thread, or several
  bool has_one_creator = true;
  std::uint64_t hash = 0;
  platform::stack_frames frames;
};

// Looks at one. False: there is none.
bool observe(const runtime::goroutine& g, goroutine_group& seen, goroutine_entry& entry) noexcept;

// In memory of its own, mapped: nothing is allocated.
class census {
 public:
  census() noexcept = default;
  census(const census&) = delete;
  census& operator=(const census&) = delete;
  ~census();

  // Looks at the records from `first` on; the first that it had no room for. Entries come in the order of their groups, and
  // those in that of the records.
  std::uint32_t take(std::uint32_t first) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const goroutine_entry& entry(std::size_t i) const noexcept { return entries_[i]; }
  [[nodiscard]] const goroutine_group& group_of(const goroutine_entry& e) const noexcept { return groups_[e.group]; }

 private:
  bool reserve(std::size_t wanted) noexcept;
  void add(const runtime::goroutine& g) noexcept;
  std::uint32_t group_like(const goroutine_group& seen) noexcept;

  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t capacity_ = 0;
  goroutine_entry* entries_ = nullptr;
  std::size_t size_ = 0;
  goroutine_group* groups_ = nullptr;
  std::size_t group_count_ = 0;
  std::uint32_t* table_ = nullptr;  // 1 + the number of the group, by its hash; 0: none
  std::size_t table_size_ = 0;
};

}  // namespace turnkey::diagnostics
