// diagnostics::name: an open-addressed table of addresses, read by reports without allocation.
//
// A slot's address is written once, when its name is complete, and never changes; a new name for the same address goes to
// its slot. Old names and tables stay for ever, since a report may be reading them: a program names what it has, not what
// it computes with.
#include "diagnostics/names.hpp"

#include <turnkey/diagnostics.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>

#include "diagnostics/lock_order.hpp"
#include "platform/raw_lock.hpp"
#include "platform/sanitizer.hpp"

namespace turnkey::diagnostics {

namespace {

struct slot {
  std::atomic<const void*> object{nullptr};
  std::atomic<const char*> name{nullptr};
};

struct table {
  explicit table(std::size_t size) : slots(std::make_unique<slot[]>(size)), capacity(size) {}

  // Its slot, or the free one where it belongs; null: full.
  [[nodiscard]] slot* find(const void* object) const noexcept {
    const std::uint64_t hash = reinterpret_cast<std::uintptr_t>(object) * 0x9e3779b97f4a7c15;
    for (std::size_t i = 0; i < capacity; ++i) {
      slot& s = slots[((hash >> 32) + i) & (capacity - 1)];
      // order: acquire -- pairs with put(): the name is complete.
      const void* const there = s.object.load(std::memory_order_acquire);
      if (there == object || there == nullptr) return &s;
    }
    return nullptr;
  }
  void put(const void* object, const char* text) noexcept {
    slot& s = *find(object);
    // order: release -- pairs with write_object_name(): the characters.
    s.name.store(text, std::memory_order_release);
    if (s.object.load(std::memory_order_relaxed) == nullptr) {
      ++used;
      s.object.store(object, std::memory_order_release);
    }
  }

  std::unique_ptr<slot[]> slots;
  std::size_t capacity;  // a power of 2
  std::size_t used = 0;
};

constexpr std::size_t first_capacity = 256;
constexpr std::size_t longest = 63;

constinit platform::raw_lock lock;  // guards writing
constinit std::atomic<const table*> names{nullptr};
constinit table* newest = nullptr;

// Room for one more. The old table is not given back: a report may be reading it.
table& with_room() {
  if (newest != nullptr && newest->used < newest->capacity / 2) return *newest;
  auto bigger = std::make_unique<table>(newest == nullptr ? first_capacity : newest->capacity * 2);
  for (std::size_t i = 0; newest != nullptr && i < newest->capacity; ++i) {
    const slot& s = newest->slots[i];
    if (const void* const object = s.object.load(std::memory_order_relaxed)) {
      bigger->put(object, s.name.load(std::memory_order_relaxed));
    }
  }
  newest = bigger.release();
  // order: release -- pairs with write_object_name().
  names.store(newest, std::memory_order_release);
  return *newest;
}

}  // namespace

void name_object(const void* object, std::string_view name) {
  // Made before the lock is taken: allocation may throw.
  const std::size_t length = std::min({name.size(), name.find('\0'), longest});
  auto copy = std::make_unique<char[]>(length + 1);
  std::memcpy(copy.get(), name.data(), length);
  lock.lock();
  try {
    with_room().put(object, copy.get());
  } catch (...) {
    lock.unlock();
    throw;
  }
  static_cast<void>(copy.release());  // a report may be reading the one before, too
  familiar_orders::forget();
  lock.unlock();
}

std::string_view name_of(const void* object) noexcept {
  const platform::tsan_ignore ignore;
  // order: acquire -- pairs with with_room() and put().
  const table* const known = names.load(std::memory_order_acquire);
  if (known == nullptr || object == nullptr) return {};
  const slot* const s = known->find(object);
  if (s == nullptr || s->object.load(std::memory_order_acquire) != object) return {};
  const char* const text = s->name.load(std::memory_order_acquire);
  return text != nullptr ? text : std::string_view();
}

void write_object_name(platform::text& out, const void* object) noexcept {
  const platform::tsan_ignore ignore;
  if (const std::string_view name = name_of(object); !name.empty()) out << '"' << name << "\" ";
  out << object;
}

}  // namespace turnkey::diagnostics
