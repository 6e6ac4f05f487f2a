// The pools behind goroutine_pool.hpp.
#include "runtime/goroutine_pool.hpp"

#include <array>
#include <bit>
#include <new>
#include <utility>

#include "platform/report.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::runtime {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{2} << 20;  // a huge page
constexpr std::uint32_t chunk_records = chunk_bytes / sizeof(goroutine);
constexpr std::uint32_t max_chunks = 1u << 16;
constexpr std::size_t slab_stacks = 64;
constexpr std::uint32_t fresh_records = 32;  // new ones that a worker takes at once
constexpr std::uint32_t chain_length = 256;  // of records
constexpr std::uint32_t stack_limit = 64;
constexpr std::uint32_t fresh_batch = 16;  // new stacks that a worker takes at once
// Under ThreadSanitizer a stack is bound to one TSan fiber, so what two goroutines do on it one after the other looks
// ordered. Stacks are then reused first in, first out, after this many others.
constexpr std::uint32_t tsan_stacks = 256;

struct record_store {
  platform::raw_lock lock;
  goroutine* chains = nullptr;          // the first records of these; see goroutine_pool::stored_chain
  goroutine_pool::record_chain loose;   // for who has no cache
  std::uint32_t fresh = chunk_records;  // records handed out of the last chunk
  std::atomic<std::uint32_t> chunks{0};
  std::atomic<std::uint32_t> made{0};
  std::array<std::atomic<goroutine*>, max_chunks> chunk{};
};
constinit record_store records;

struct stack_store {
  platform::raw_lock lock;
  stack* free = nullptr;
  stack* last = nullptr;  // of the free list, for FIFO
  std::uint32_t free_count = 0;
  std::byte* slab = nullptr;
  std::size_t slab_left = 0;
};
constinit std::array<stack_store, goroutine_pool::largest_class + 1> stacks;

std::size_t size_of(std::uint8_t stack_class) noexcept { return goroutine_pool::smallest_stack << stack_class; }

// Stacks are used at their tops. At distances of powers of two all of these would fall into the same few sets of every
// cache. So they are a page further apart, and begin up to 1 KiB below the top of their pages.
std::size_t stride_of(std::size_t size) noexcept { return size + platform::page_size; }
std::size_t colour_of(const std::byte* base, std::size_t size) noexcept {
  constexpr std::size_t line = 64;
  constexpr std::size_t colours = 16;
  return reinterpret_cast<std::uintptr_t>(base) / stride_of(size) % colours * line;
}

// Under the store's lock: addresses for up to `wanted` stacks that were never used. Null: no memory.
std::byte* take_fresh(stack_store& store, std::size_t size, std::uint32_t& wanted) noexcept {
  if (store.slab_left == 0) {
    std::size_t count = size <= size_of(goroutine_pool::default_class) ? slab_stacks : 1;
    void* memory = platform::map_memory(stride_of(size) * count, platform::pages::small);
    if (memory == nullptr) {
      count = 1;
      memory = platform::map_memory(size, platform::pages::small);
    }
    if (memory == nullptr) return nullptr;
    store.slab = static_cast<std::byte*>(memory);
    store.slab_left = count;
  }
  if (wanted > store.slab_left) wanted = static_cast<std::uint32_t>(store.slab_left);
  std::byte* const base = store.slab;
  store.slab += stride_of(size) * wanted;
  store.slab_left -= wanted;
  return base;
}

// Touches the memory for the first time, which takes microseconds: not under a lock.
stack* make_stack_at(std::byte* base, std::size_t size) noexcept {
  size -= colour_of(base, size);
  auto* const made = ::new (static_cast<void*>(base + size - sizeof(stack))) stack;
  made->base = base;
  made->size = size;
  made->has_canary = platform::guard_stack(base) == platform::guard_kind::canary;
  platform::adopt_stack(made->view, base + platform::page_size, size - platform::page_size - sizeof(stack));
  return made;
}

stack* take_stack(std::uint8_t stack_class, goroutine_pool::cache* local) noexcept {
  stack_store& store = stacks[stack_class];
  const std::size_t size = size_of(stack_class);
  const bool is_cached = local != nullptr && stack_class == goroutine_pool::default_class;
  std::byte* fresh = nullptr;
  if (is_cached && local->fresh_count != 0) {
    fresh = local->fresh;
    local->fresh += stride_of(size);
    --local->fresh_count;
    return make_stack_at(fresh, size);
  }
  store.lock.lock();
  stack* taken = nullptr;
  std::uint32_t count = is_cached ? fresh_batch : 1;
  if (store.free == nullptr || (platform::is_tsan && store.free_count < tsan_stacks)) {
    fresh = take_fresh(store, size, count);
  }
  if (fresh == nullptr && store.free != nullptr) {
    taken = store.free;
    store.free = taken->next_free;
    --store.free_count;
  }
  store.lock.unlock();
  if (fresh == nullptr) return taken;
  if (is_cached) {
    local->fresh = fresh + stride_of(size);
    local->fresh_count = count - 1;
  }
  return make_stack_at(fresh, size);
}

void give_stack(stack& s, std::uint8_t stack_class) noexcept {
  stack_store& store = stacks[stack_class];
  store.lock.lock();
  if (platform::is_tsan && store.free != nullptr) {
    s.next_free = nullptr;
    store.last->next_free = &s;
    store.last = &s;
  } else {
    s.next_free = store.free;
    store.free = &s;
    if (s.next_free == nullptr) store.last = &s;
  }
  ++store.free_count;
  store.lock.unlock();
}

}  // namespace

std::uint8_t goroutine_pool::class_of(std::size_t size) noexcept {
  if (size == 0) return default_class;
  if (size <= smallest_stack) return 0;
  return static_cast<std::uint8_t>(std::bit_width((size - 1) / smallest_stack));
}

// Under records.lock. Null: no memory.
goroutine* goroutine_pool::make_record() noexcept {
  if (records.fresh == chunk_records) {
    const std::uint32_t n = records.chunks.load(std::memory_order_relaxed);
    if (n == max_chunks) return nullptr;
    void* const memory = platform::map_memory(chunk_bytes, platform::pages::huge);
    if (memory == nullptr) return nullptr;
    platform::add_leak_root(memory, chunk_bytes);
    records.chunk[n].store(static_cast<goroutine*>(memory), std::memory_order_relaxed);
    records.fresh = 0;
    records.chunks.store(n + 1, std::memory_order_relaxed);
  }
  const std::uint32_t index = (records.chunks.load(std::memory_order_relaxed) - 1) * chunk_records + records.fresh++;
  auto* const made = ::new (static_cast<void*>(&record(index))) goroutine;
  made->index_ = index;
  // order: release -- pairs with record_count(): the record and its chunk are seen.
  records.made.store(index + 1, std::memory_order_release);
  return made;
}

void goroutine_pool::push(record_chain& chain, goroutine& g) noexcept {
  g.next_ = chain.first;
  chain.first = &g;
  ++chain.count;
}

// Null: it is empty.
goroutine* goroutine_pool::pop(record_chain& chain) noexcept {
  goroutine* const g = chain.first;
  if (g == nullptr) return nullptr;
  chain.first = g->next_;
  --chain.count;
  if (chain.first != nullptr) prefetch(*chain.first);
  return g;
}

// Under records.lock, as is store_chain.
goroutine_pool::record_chain goroutine_pool::fetch_chain() noexcept {
  record_chain chain;
  if (goroutine* const first = records.chains) {
    const auto* const stored = reinterpret_cast<const stored_chain*>(first->room_.data());
    chain = {first, stored->count};
    records.chains = stored->next;
  } else if (records.loose.first != nullptr) {
    std::swap(chain, records.loose);
  } else {
    // Not a second chunk, before this one is used up.
    do {
      goroutine* const made = make_record();
      if (made == nullptr) break;
      push(chain, *made);
    } while (chain.count < fresh_records && records.fresh < chunk_records);
  }
  return chain;
}

void goroutine_pool::store_chain(record_chain& chain) noexcept {
  if (chain.first == nullptr) return;
  ::new (static_cast<void*>(chain.first->room_.data())) stored_chain{records.chains, chain.count};
  records.chains = chain.first;
  chain = {};
}

goroutine* goroutine_pool::take_record(cache* local) noexcept {
  record_chain& chain = local != nullptr ? local->records : records.loose;
  if (local != nullptr) {
    if (chain.first == nullptr) std::swap(chain, local->spare);
    if (chain.first != nullptr) return pop(chain);
  }
  records.lock.lock();
  if (chain.first == nullptr) chain = fetch_chain();
  goroutine* const taken = pop(chain);
  records.lock.unlock();
  return taken;
}

void goroutine_pool::give_record(goroutine& g, cache* local) noexcept {
  // order: release -- pairs with load_status(): a report that still sees it used sees it whole.
  g.status_.store(goroutine::status::unused, std::memory_order_release);
  ++g.generation_;
  if (local == nullptr) {
    records.lock.lock();
    push(records.loose, g);
    records.lock.unlock();
    return;
  }
  if (local->records.count >= chain_length) {
    if (local->spare.first != nullptr) {
      records.lock.lock();
      store_chain(local->spare);
      records.lock.unlock();
    }
    std::swap(local->records, local->spare);
  }
  push(local->records, g);
}

bool goroutine_pool::attach_stack(goroutine& g, cache* local, void (*entry)(void*)) noexcept {
  stack* s = nullptr;
  if (local != nullptr && g.stack_class_ == default_class && local->stacks != nullptr) {
    s = local->stacks;
    local->stacks = s->next_free;
    --local->stack_count;
  } else {
    s = take_stack(g.stack_class_, local);
  }
  if (s == nullptr) return false;
  g.stack_ = s;
  g.saved_ = platform::make_stack(s->top(), entry, &g);
  return true;
}

void goroutine_pool::detach_stack(goroutine& g, cache* local) noexcept {
  stack* const s = g.stack_;
  if (s == nullptr) return;
  g.stack_ = nullptr;
  g.saved_ = nullptr;
  if (s->has_canary && !platform::is_canary_intact(s->base)) platform::fatal("stack overflow");
  platform::clean_stack(s->view);
  if (local != nullptr && g.stack_class_ == default_class && !platform::is_tsan && local->stack_count < stack_limit) {
    s->next_free = local->stacks;
    local->stacks = s;
    ++local->stack_count;
    return;
  }
  give_stack(*s, g.stack_class_);
}

void goroutine_pool::flush(cache& local) noexcept {
  while (local.stacks != nullptr) {
    stack* const s = local.stacks;
    local.stacks = s->next_free;
    give_stack(*s, default_class);
  }
  local.stack_count = 0;
  records.lock.lock();
  store_chain(local.records);
  store_chain(local.spare);
  records.lock.unlock();
}

std::uint32_t goroutine_pool::record_count() noexcept { return records.made.load(std::memory_order_acquire); }

goroutine& goroutine_pool::record(std::uint32_t i) noexcept {
  return records.chunk[i / chunk_records].load(std::memory_order_relaxed)[i % chunk_records];
}

goroutine* goroutine_pool::find(std::uint32_t token) noexcept {
  const std::uint32_t index = token & goroutine::max_token_index;
  if (parking::is_thread_token(token) || index == 0 || index > record_count()) return nullptr;
  goroutine& g = record(index - 1);
  return g.token() == token ? &g : nullptr;
}

goroutine* goroutine_pool::find_overflow(const void* address) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  // Rare and about to end the program: a walk will do.
  for (std::uint32_t i = 0, n = record_count(); i < n; ++i) {
    goroutine& g = record(i);
    const stack* const s = g.stack_;
    if (g.load_status() == goroutine::status::unused || s == nullptr) continue;
    const auto base = reinterpret_cast<std::uintptr_t>(s->base);
    if (at >= base && at < base + platform::page_size) return &g;
  }
  return nullptr;
}

}  // namespace turnkey::runtime
