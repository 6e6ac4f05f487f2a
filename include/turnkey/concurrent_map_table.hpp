// turnkey/concurrent_map_table.hpp -- the memory of a concurrent_map: buckets, tables, how many entries. Not for direct
// use. What may be done to it, and in which order, is at the top of concurrent_map_engine.hpp.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <turnkey/concurrent_map_reclaim.hpp>

namespace turnkey {

// Waits for a bucket to be unlocked: its holder may have been preempted, so give it the CPU.
class map_backoff {
 public:
  void wait() noexcept;

 private:
  int rounds_ = 0;
};

// The state word of a bucket. What changes the bucket or those chained to it changes the version.
namespace map_state {
inline constexpr std::uint64_t locked = 1;   // somebody changes the bucket: a few instructions, no code of the user's
inline constexpr std::uint64_t moved = 2;    // its entries are in the next table; never changes again
inline constexpr std::uint64_t version = 4;  // and the bits above
}  // namespace map_state

// One cache line, or two if an entry has more than a word.
template <std::size_t Words>
struct alignas(Words == 1 ? 64 : 128) map_bucket {
  static constexpr std::size_t slots = ((Words == 1 ? 64 : 128) - 24) / (8 * Words);
  static constexpr std::uint64_t occupied = 0x8080808080808080 >> (8 * (8 - slots));
  using raw = std::array<std::uint64_t, Words>;

  // A tag is the byte 0x80 | 7 bits of the hash; a free slot's is 0.
  static constexpr std::uint64_t tag_of(std::uint64_t hash) noexcept { return hash >> 57 | 0x80; }
  // The top bit of each byte of `tags` that is this tag.
  static constexpr std::uint64_t matches(std::uint64_t tags, std::uint64_t tag) noexcept {
    // A byte of `differing` is 0 where the tag is the same. Adding 0x7f to its low seven bits carries into the top one
    // unless they are 0, and never into the next byte.
    const std::uint64_t differing = tags ^ (tag * 0x0101010101010101);
    return ~(((differing & 0x7f7f7f7f7f7f7f7f) + 0x7f7f7f7f7f7f7f7f) | differing) & occupied;
  }
  static std::size_t slot_of(std::uint64_t match) noexcept {
    return static_cast<std::size_t>(std::countr_zero(match)) / 8;
  }
  static constexpr std::uint64_t with_tag(std::uint64_t tags, std::size_t slot, std::uint64_t tag) noexcept {
    return (tags & ~(std::uint64_t{0xff} << (8 * slot))) | tag << (8 * slot);
  }

  // order: acquire, release -- each word that a reader sees brings what its writer did before. In a flat bucket a new
  // word also brings the state that was locked before it was written, which the reader then finds changed.
  [[nodiscard]] raw read(std::size_t slot) noexcept {
    raw bits{};
    for (std::size_t i = 0; i < Words; ++i) bits[i] = entries[slot][i].load(std::memory_order_acquire);
    return bits;
  }
  void write(std::size_t slot, const raw& bits) noexcept {
    for (std::size_t i = 0; i < Words; ++i) entries[slot][i].store(bits[i], std::memory_order_release);
  }
  // order: acquire, release -- a bucket is filled before it is chained.
  [[nodiscard]] map_bucket* chained() noexcept {
    return reinterpret_cast<map_bucket*>(static_cast<std::uintptr_t>(next.load(std::memory_order_acquire)));
  }
  void chain(map_bucket* other) noexcept {
    next.store(reinterpret_cast<std::uintptr_t>(other), std::memory_order_release);
  }

  map_word state;  // of one that is chained to another: the link of map_table::adopt
  map_word tags;
  map_word next;
  std::array<std::array<map_word, Words>, slots> entries;
};

// How many entries: each stripe counts on a line of its own.
class map_population {
 public:
  // The stripe's own count afterwards.
  std::int64_t add(std::size_t stripe, std::int64_t change) noexcept {
    return stripes_[stripe].count.fetch_add(change, std::memory_order_relaxed) + change;
  }
  // Exact if nobody adds meanwhile.
  [[nodiscard]] std::size_t total() const noexcept {
    std::int64_t sum = 0;
    for (const line& each : stripes_) sum += each.count.load(std::memory_order_relaxed);
    return sum > 0 ? static_cast<std::size_t>(sum) : 0;
  }

 private:
  struct alignas(64) line {
    std::atomic<std::int64_t> count{0};
  };
  std::array<line, map_pin::stripes> stripes_;
};

// An array of buckets. What was made since the last clear() is one generation: a table, perhaps the next one that its
// buckets move to, and their population.
class alignas(64) map_table : public map_retired {
 public:
  // `count` (a power of two) zeroed buckets of `bucket_size` bytes each; null if there is no memory for them.
  static map_table* make(std::size_t count, std::size_t bucket_size, map_population* population,
                         std::uint64_t generation) noexcept;
  // Frees the table, and the buckets that were adopted.
  static void free(map_table* table) noexcept;
  // A zeroed bucket to be chained to another; null if there is no memory. It goes with the table that adopts it, or else
  // by free_bucket.
  static void* make_bucket(std::size_t bucket_size) noexcept;
  static void free_bucket(void* bucket) noexcept;
  void adopt(map_word& state_of_bucket) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(mask) + 1; }

  std::uint64_t mask = 0;
  void* buckets = nullptr;
  std::atomic<map_table*> next{nullptr};  // set once, when the table begins to be moved
  map_population* population = nullptr;
  std::uint64_t generation = 0;
  bool is_dropped = false;  // by clear(), with all that is in it; else retired because it has been moved

  // On a line that readers do not look at: who moves buckets writes here.
  alignas(64) std::atomic<std::size_t> cursor{0};  // the next bucket that somebody should move
  std::atomic<std::size_t> moved{0};               // how many have been
  std::atomic<std::uint64_t> adopted{0};           // chained buckets, linked through their state
  void* mapping = nullptr;                         // where the buckets' memory begins
  std::size_t mapping_size = 0;                    // 0: it came from calloc
};

}  // namespace turnkey
