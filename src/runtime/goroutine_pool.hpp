// Records and stacks of goroutines. Both are recycled last in, first out, so that they are warm: the first touch of a page
// costs microseconds, a warm one nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "platform/raw_lock.hpp"
#include "runtime/goroutine.hpp"

namespace turnkey::runtime {

class goroutine_pool {
 public:
  static constexpr std::size_t smallest_stack = std::size_t{16} << 10;
  static constexpr std::uint8_t default_class = 2;   // 64 KiB
  static constexpr std::uint8_t largest_class = 16;  // 1 GiB
  // The class of a stack of `size` bytes; 0 stands for the default.
  static std::uint8_t class_of(std::size_t size) noexcept;
  static std::size_t stack_size(const goroutine& g) noexcept { return smallest_stack << g.stack_class_; }

  // Free records, linked by next_. They come from and go to the common store in chains, which nobody walks: each step would
  // wait for memory that was written last by another CPU, or long ago.
  struct record_chain {
    goroutine* first = nullptr;
    std::uint32_t count = 0;
  };
  // Free lists that one worker keeps for itself.
  struct cache {
    record_chain records;
    record_chain spare;       // so that one who takes and gives by turns does not go to the store for each chain
    stack* stacks = nullptr;  // of the default class
    std::uint32_t stack_count = 0;
    std::byte* fresh = nullptr;  // memory of stacks that were never used
    std::uint32_t fresh_count = 0;
  };

  // A record, not yet started. Null: no memory. `local` may be null (an OS thread).
  static goroutine* take_record(cache* local) noexcept;
  static void give_record(goroutine& g, cache* local) noexcept;
  // Gives g, which is about to run for the first time, its stack, and makes saved_ start entry(g). False: no memory.
  static bool attach_stack(goroutine& g, cache* local, void (*entry)(void*)) noexcept;
  // g has ended and is off its stack.
  static void detach_stack(goroutine& g, cache* local) noexcept;
  // Fetches g, which is about to be made or to run, into the cache: all of it will be written.
  static void prefetch(const goroutine& g) noexcept {
    for (std::size_t line = 0; line < sizeof(goroutine); line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(&g) + line, 1);
  }
  // Empties a worker's free lists.
  static void flush(cache& local) noexcept;

  // Records that exist, used or not, and the i-th of them (i < record_count()).
  static std::uint32_t record_count() noexcept;
  static goroutine& record(std::uint32_t i) noexcept;
  // The goroutine whose token this is, or null. It may have ended (status unused), while nobody else has its record.
  static goroutine* find(std::uint32_t token) noexcept;
  // The goroutine on whose stack's guard page this address lies, or null. Async-signal-safe.
  static goroutine* find_overflow(const void* address) noexcept;

 private:
  // In the room of the first record of a chain that is in the store.
  struct stored_chain {
    goroutine* next;
    std::uint32_t count;
  };
  static goroutine* make_record() noexcept;
  static void push(record_chain& chain, goroutine& g) noexcept;
  static goroutine* pop(record_chain& chain) noexcept;
  static record_chain fetch_chain() noexcept;
  static void store_chain(record_chain& chain) noexcept;
};

}  // namespace turnkey::runtime
