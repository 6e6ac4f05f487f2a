// Making, closing and ending channels.
#include <turnkey/chan.hpp>

#include <algorithm>
#include <new>

#include "channel/channel_core.hpp"

namespace turnkey {

channel_closed::~channel_closed() = default;

namespace {

// A channel begins a cache line, so that its header is one.
constexpr std::size_t least_alignment = 64;
// What a process can address.
constexpr std::size_t most_bytes = std::size_t{1} << 47;

std::size_t block_alignment(const channel_type& type) noexcept { return std::max(least_alignment, type.alignment); }

}  // namespace

channel_core* channel_core::make(const channel_type& type, std::ptrdiff_t capacity, std::size_t extra) {
  if (capacity < 0) throw std::invalid_argument("makechan: size out of range");
  const auto slots = static_cast<std::size_t>(capacity);
  const std::size_t overhead = sizeof(channel_core) + block_alignment(type) + extra;
  if (slots > (most_bytes - overhead) / type.stride) throw std::length_error("makechan: size out of range");
  void* const memory = ::operator new (overhead + slots * type.stride, std::align_val_t{block_alignment(type)});
  auto* const channel = ::new (memory) channel_core(type, slots);
  if (platform::is_tsan && !type.is_timer) {
    try {
      channel->edges_ = new slot_edges(slots);
      channel->is_simple_ = false;
    } catch (...) {
      ::operator delete (memory, std::align_val_t{block_alignment(type)});
      throw;
    }
  }
  if (extra != 0) std::memset(channel_protocol::extra(*channel), 0, extra);
  return channel;
}

void channel_core::drop_handle() noexcept {
  platform::tsan_release(&handles_);
  // order: acq_rel -- pairs with itself: what others did to the channel is done before it goes.
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  platform::tsan_acquire(&handles_);
  const channel_type& type = *type_;
  std::uint64_t word = channel_protocol::load(*this);
  channel_protocol::clear(*this, word);
  delete edges_;
  this->~channel_core();
  ::operator delete (static_cast<void*>(this), std::align_val_t{block_alignment(type)});
}

std::size_t channel_core::size() const noexcept {
  return type_->is_timer ? 0 : channel_protocol::size_of(channel_protocol::load(*this));
}

void channel_core::throw_send_on_closed() { throw channel_closed("send on closed channel"); }

void channel_core::close(channel_core* channel) {
  if (channel == nullptr) throw std::logic_error("close of nil channel");
  if (!channel_protocol::close(*channel)) throw channel_closed("close of closed channel");
}

}  // namespace turnkey
