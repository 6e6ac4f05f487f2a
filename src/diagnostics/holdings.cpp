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

bool holding::move_to(holding& there, taking expected) noexcept {
  there.since.store(since.load(std::memory_order_relaxed), std::memory_order_relaxed);
  there.is_reported.store(is_reported.load(std::memory_order_relaxed), std::memory_order_relaxed);
  there.what.store(expected, std::memory_order_relaxed);
  // order: release -- pairs with remove_from_any(): who finds it gone from here finds it there.
  if (what.compare_exchange_strong(expected, taking(), std::memory_order_release, std::memory_order_relaxed))
    return true;
  there.what.store(taking(), std::memory_order_relaxed);
  return false;
}

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
      who.holdings() = made;
      // order: release -- pairs with made().
      count_made.store(index + 1, std::memory_order_release);
    }
  }
  making.unlock();
  return made;
}

holding& holdings::later_place(std::uint32_t i) const noexcept {
  block* b = first_;
  for (; i >= block::size; i -= block::size) b = b->next.load(std::memory_order_acquire);
  return b->held[i];
}

// Null: no memory.
holding* holdings::make_room(std::uint32_t place) noexcept {
  block* b = first_;
  for (; place >= block::size; place -= block::size) {
    if (b->next.load(std::memory_order_relaxed) == nullptr) {
      void* const room = map_pages(sizeof(block));
      if (room == nullptr) return nullptr;
      b->next.store(::new (room) block, std::memory_order_release);
    }
    b = b->next.load(std::memory_order_relaxed);
  }
  return &b->held[place];
}

// Takes out those that are marked, which are none before that one.
void holdings::close_gaps(std::uint32_t from) noexcept {
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  std::uint64_t fingerprint = place(from).fingerprint;
  std::uint32_t kept = from;
  for (std::uint32_t i = from; i < count; ++i) {
    holding& each = at(i);
    const taking what = each.what.load(std::memory_order_relaxed);
    if (what == taking() || (i != kept && !each.move_to(at(kept), what))) continue;
    fingerprint = folded(fingerprint, what);
    at(kept++).fingerprint = fingerprint;
  }
  count_.store(kept, std::memory_order_release);
}

// New, another's until now, or with gaps that others have made.
holdings* holdings::bring_up_to_date(parking::control& who) noexcept {
  auto* const mine = who.holdings() != nullptr ? static_cast<holdings*>(who.holdings()) : make(who);
  if (mine == nullptr) return nullptr;
  const std::uint32_t token = who.token();
  // order: acquire -- pairs with remove_from_any(): what was marked before this is seen below, what is marked later is
  // for the next time.
  who.ready_holdings().exchange(mine, std::memory_order_acquire);
  if (mine->token_ != token) {  // what an ended one has left locked is not its successor's
    mine->token_ = token;
    mine->place(0).fingerprint = mix(token);
    mine->count_.store(0, std::memory_order_relaxed);
  }
  mine->close_gaps(0);
  return mine;
}

holdings::end holdings::end_of(parking::control& who) noexcept {
  holdings* mine = ready(who);
  if (mine == nullptr) mine = bring_up_to_date(who);
  if (mine == nullptr) return {};
  const std::uint32_t count = mine->count_.load(std::memory_order_relaxed);
  return {*mine, mine->place(count), count};
}

std::int64_t holdings::remove_earlier(taking what) noexcept {
  for (std::uint32_t i = count_.load(std::memory_order_relaxed); i-- != 0;) {
    holding& each = at(i);
    if (each.what.load(std::memory_order_relaxed) != what) continue;
    const std::int64_t since = each.since.load(std::memory_order_relaxed);
    each.what.store(taking(), std::memory_order_relaxed);
    close_gaps(i);
    return since;
  }
  return not_held;
}

// Its holder may be adding or removing others meanwhile, so it is only marked. It may be moving this one as well, and does so
// towards the front only: it writes it there before it takes it from here (move_to). So whoever looks from the back to the front
// comes upon it, here or there. If that is here, and there it has been written already, its holder finds the mark when it is
// about to take it from here. It is tempting to let the holder store what it has read, without a read-modify-write. Don't: a
// mark that comes in between is lost, and so is one for a lock that stays where it is and is stored anew; either would be
// held by its former holder for good, with orders and reports that are false.
void holdings::remove_from_any(const void* lock) noexcept {
  for_each([lock](holdings& each) {
    for (std::uint32_t i = each.count(); i-- != 0;) {
      std::atomic<taking>& place = each.at(i).what;
      // order: acquire -- pairs with move_to(), and with add() of another in a place that was left.
      taking what = place.load(std::memory_order_acquire);
      if (what.lock() != lock || !place.compare_exchange_strong(what, taking(), std::memory_order_relaxed)) continue;
      // order: release -- pairs with ready() and bring_up_to_date(): the mark.
      each.who_->ready_holdings().store(nullptr, std::memory_order_release);
    }
  });
}

}  // namespace turnkey::diagnostics
