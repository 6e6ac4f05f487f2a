// The memory of turnkey::concurrent_map's tables.
//
// A large table is mapped, on huge pages if the kernel has any to give: a lookup goes to a random place, and with small
// pages half of its time is spent on finding out where that place is. It is not zeroed but comes zeroed, page by page as
// it is touched, so that whoever makes a table for a million entries does not stop to do that. Under AddressSanitizer all
// tables come from the heap, where it finds out who uses one after its end.
#include <turnkey/concurrent_map_table.hpp>

#include <cstdlib>
#include <cstring>
#include <new>

#include "platform/cpu.hpp"
#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"
#include "platform/thread.hpp"

namespace turnkey {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

// The first address at or above `base` that is a multiple of `alignment`.
void* aligned(void* base, std::size_t alignment) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  return static_cast<std::byte*>(base) + (alignment - address % alignment) % alignment;
}

}  // namespace

void map_backoff::wait() noexcept {
  if (++rounds_ <= 16) {
    platform::pause(4);
  } else {
    platform::yield_thread();
  }
}

map_table* map_table::make(std::size_t count, std::size_t bucket_size, map_population* population,
                           std::uint64_t generation) noexcept {
  auto* const table = new (std::nothrow) map_table;
  if (table == nullptr) return nullptr;
  const std::size_t bytes = count * bucket_size;
  if (bytes >= huge_page && !platform::is_asan) {
    table->mapping_size = bytes + huge_page;
    table->mapping = platform::map_memory(table->mapping_size, platform::pages::huge);
    if (table->mapping != nullptr) {
      platform::add_leak_root(table->mapping, table->mapping_size);
      table->buckets = aligned(table->mapping, huge_page);
    }
  } else {
    table->mapping = std::calloc(1, bytes + bucket_size);
    if (table->mapping != nullptr) table->buckets = aligned(table->mapping, bucket_size);
  }
  if (table->mapping == nullptr) {
    delete table;
    return nullptr;
  }
  table->mask = count - 1;
  table->population = population;
  table->generation = generation;
  return table;
}

void map_table::free(map_table* table) noexcept {
  std::uint64_t bits = table->adopted.load(std::memory_order_relaxed);
  while (bits != 0) {
    auto* const state = reinterpret_cast<map_word*>(static_cast<std::uintptr_t>(bits));
    bits = state->load(std::memory_order_relaxed);
    free_bucket(state);
  }
  if (table->mapping_size != 0) {
    platform::unmap_memory(table->mapping, table->mapping_size);
  } else {
    std::free(table->mapping);
  }
  delete table;
}

void* map_table::make_bucket(std::size_t bucket_size) noexcept {
  void* const memory = std::aligned_alloc(bucket_size, bucket_size);
  if (memory != nullptr) std::memset(memory, 0, bucket_size);
  return memory;
}

void map_table::free_bucket(void* bucket) noexcept { std::free(bucket); }

void map_table::adopt(map_word& state_of_bucket) noexcept {
  const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&state_of_bucket));
  std::uint64_t first = adopted.load(std::memory_order_relaxed);
  do {
    state_of_bucket.store(first, std::memory_order_relaxed);
    // order: relaxed -- nobody goes through the list before the table's end, which comes after every pin's.
  } while (!adopted.compare_exchange_weak(first, bits, std::memory_order_relaxed));
}

}  // namespace turnkey
