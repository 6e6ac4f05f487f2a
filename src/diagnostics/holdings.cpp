#include "diagnostics/holdings.hpp"

#include <new>

#include "platform/raw_lock.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::diagnostics {

namespace {

constinit platform::raw_lock making;
constinit std::atomic<std::uint32_t> count_made{0};

void* map_pages(std::size_t bytes) noexcept {
  bytes = (bytes + platform::page_size - 1) / platform::page_size * platform::page_size;
  return platform::map_memory(bytes, platform::pages::small);
}

}  // namespace

constinit std::array<std::atomic<holdings*>, holdings::most_pages> holdings::pages{};

// order: acquire -- pairs with make(): the record is complete.
std::uint32_t holdings::made() noexcept { return count_made.load(std::memory_order_acquire); }

holdings* holdings::make(parking::control& who) noexcept {
  making.lock();
  const std::uint32_t index = count_made.load(std::memory_order_relaxed);
  std::atomic<holdings*>& page = pages[index / page_records % most_pages];
  holdings* made = nullptr;
  if (index < page_records * most_pages) {
    if (page.load(std::memory_order_relaxed) == nullptr) {
      void* const memory = map_pages(page_records * sizeof(holdings));
      page.store(static_cast<holdings*>(memory), std::memory_order_release);
    }
    void* const room = map_pages(sizeof(block));
    if (page.load(std::memory_order_relaxed) != nullptr && room != nullptr) {
      made = ::new (static_cast<void*>(page.load(std::memory_order_relaxed) + index % page_records)) holdings;
      made->first_ = ::new (room) block;
      made->who_ = &who;
      who.holdings() = index + 1;
      // order: release -- pairs with made().
      count_made.store(index + 1, std::memory_order_release);
    }
  }
  making.unlock();
  return made;
}

holding& holdings::at_later(std::uint32_t i) const noexcept {
  block* b = first_;
  for (; i >= block::size; i -= block::size) b = b->next.load(std::memory_order_acquire);
  return b->held[i];
}

// Null: no memory.
holding* holdings::make_room(std::uint32_t index) noexcept {
  block* b = first_;
  for (; index >= block::size; index -= block::size) {
    if (b->next.load(std::memory_order_relaxed) == nullptr) {
      void* const room = map_pages(sizeof(block));
      if (room == nullptr) return nullptr;
      b->next.store(::new (room) block, std::memory_order_release);
    }
    b = b->next.load(std::memory_order_relaxed);
  }
  return &b->held[index];
}

std::int64_t holdings::remove_earlier(const void* lock) noexcept {
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = count; i-- != 0;) {
    if (at(i).lock.load(std::memory_order_relaxed) != lock) continue;
    const std::int64_t since = at(i).since.load(std::memory_order_relaxed);
    for (std::uint32_t j = i; j + 1 < count; ++j) {
      holding& to = at(j);
      const holding& from = at(j + 1);
      to.since.store(from.since.load(std::memory_order_relaxed), std::memory_order_relaxed);
      to.how.store(from.how.load(std::memory_order_relaxed), std::memory_order_relaxed);
      to.is_reported.store(from.is_reported.load(std::memory_order_relaxed), std::memory_order_relaxed);
      to.lock.store(from.lock.load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    count_.store(count - 1, std::memory_order_release);
    return since;
  }
  return not_held;
}

// Its holder may be adding or removing others meanwhile, so it is only marked.
void holdings::remove_from_any(const void* lock) noexcept {
  for_each([lock](const holdings& each) {
    for (std::uint32_t i = 0, n = each.count(); i < n; ++i) {
      const void* expected = lock;
      each.at(i).lock.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
    }
  });
}

}  // namespace turnkey::diagnostics
