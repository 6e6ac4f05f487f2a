// Words that only one OS thread writes: what counter and snapshot count with instead of a word that all threads share.
//
// Each OS thread that counts something has one block of cells: a counter's or a version's number is an index into every
// block. So a cell shares its cache line with others of the same thread only, and a thousand counters cost a thread 8 KB.
//
// Blocks are never unmapped. When a thread ends, its block keeps what is in it and waits for the next thread; a sum over
// all blocks loses nothing by that. Two threads never have one block at once, and the second one sees what the first
// wrote (the registry's lock), so "only its thread writes it" holds for a block as for a thread.
//
// A goroutine counts on whatever thread it runs on. It cannot be moved while it runs, and the functions that look at
// current_cells are never inlined, so none remembers a block across a park.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace turnkey::data {

struct thread_cells {
  static constexpr std::uint32_t counters = 1u << 16;
  static constexpr std::uint32_t versions = 1u << 18;

  thread_cells* next = nullptr;                                 // in the list of all blocks
  thread_cells* next_free = nullptr;                            // guarded by the registry's lock
  std::array<std::atomic<std::uint64_t>, counters> counts;      // by counter; its thread's part of the sum
  std::array<std::atomic<std::uint32_t>, versions> references;  // by version; see snapshot_core.cpp

  // All blocks, newest first. The list only grows.
  static thread_cells* all() noexcept;
  // Gets the calling OS thread a block; null if there is no memory, or if somebody else is just getting one: the caller
  // can do without this time. Never blocks. What another thread did before it registered its block is seen, and what we
  // do next is done after this one is in the list.
  static thread_cells* take() noexcept;
};

// The calling OS thread's block, or null. Read it in functions that are not inlined.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit thread_cells* current_cells;

inline thread_cells* cells_of_this_thread() noexcept {
  thread_cells* const cells = current_cells;
  return cells != nullptr ? cells : thread_cells::take();
}

}  // namespace turnkey::data
