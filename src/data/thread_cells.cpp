#include "data/thread_cells.hpp"

#include <pthread.h>

#include <new>

#include "platform/raw_lock.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::data {

[[gnu::tls_model("initial-exec")]] constinit thread_local thread_cells* current_cells = nullptr;

namespace {

// Mapped, so that a block's pages are there when a cell in them is used, and not before.
constexpr std::size_t block_size =
    (sizeof(thread_cells) + platform::page_size - 1) / platform::page_size * platform::page_size;

struct block_registry {
  platform::raw_lock lock;
  std::atomic<thread_cells*> all{nullptr};
  thread_cells* free = nullptr;
  pthread_key_t at_thread_exit{};
  bool has_key = false;

  // Under the lock.
  thread_cells* make() noexcept {
    void* const memory = platform::map_memory(block_size, platform::pages::small);
    if (memory == nullptr) return nullptr;
    // Default-initialised: the cells of mapped memory are 0 already, and writing them would touch every page.
    auto* const block = static_cast<thread_cells*>(memory);
    block->next = all.load(std::memory_order_relaxed);
    // order: release -- pairs with thread_cells::all().
    all.store(block, std::memory_order_release);
    return block;
  }

  // A thread ends. Should a later destructor of it count something, it takes a block again.
  static void give_back(void* gone) noexcept;
};

constinit block_registry registry;

void block_registry::give_back(void* gone) noexcept {
  auto* const block = static_cast<thread_cells*>(gone);
  if (current_cells == block) current_cells = nullptr;
  registry.lock.lock();
  block->next_free = registry.free;
  registry.free = block;
  registry.lock.unlock();
}

}  // namespace

// order: acquire -- pairs with make(): the block's link.
thread_cells* thread_cells::all() noexcept { return registry.all.load(std::memory_order_acquire); }

[[gnu::noinline]] thread_cells* thread_cells::take() noexcept {
  if (!registry.lock.try_lock()) return nullptr;
  if (!registry.has_key) {
    registry.has_key = pthread_key_create(&registry.at_thread_exit, block_registry::give_back) == 0;
  }
  thread_cells* block = registry.free;
  if (block != nullptr) {
    registry.free = block->next_free;
  } else {
    block = registry.make();
  }
  registry.lock.unlock();
  if (block == nullptr) return nullptr;
  // Without a key the block stays with this thread, and nobody gets it after its end: it is lost, its counts are not.
  if (registry.has_key) pthread_setspecific(registry.at_thread_exit, block);
  current_cells = block;
  return block;
}

}  // namespace turnkey::data
