// turnkey/channel_core.hpp -- what chan and select are made of, without the type of the values. Not for direct use.
//
// A channel is one block of memory: this header, then the ring of its slots. Values travel between frames and slots by
// the functions of a channel_type, under the channel's latch. The protocol is at the top of src/channel/channel_core.hpp.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <turnkey/wait_limit.hpp>

namespace turnkey {

namespace parking {
class waiter;
}
class channel_core;
class slot_edges;
class wait_edges;
struct select_state;
class select_core;

// For users too, unlike the rest: how a call of a channel ended. See chan.hpp; would_block is also said of one that was stopped.
enum class chan_status : std::uint8_t { ok, would_block, closed, timeout };

// How a channel treats the values of one type.
struct channel_type {
  std::size_t stride;     // from one slot to the next: a multiple of the alignment, and of 8
  std::size_t alignment;  // of a slot
  bool is_word;           // a value is 8 bytes that may be copied: the functions below are not called
  void (*move)(void* slot, void* value);
  void (*destroy)(void* value) noexcept;
  // Nobody sends; values are put in when they are due, and size and capacity read 0. See src/channel/timer.hpp.
  bool is_timer = false;
};

// What one call wants of one channel: to send a value, or to receive one.
struct channel_case {
  // Moves what `from` holds to where the receiver wants it.
  using take_function = void (*)(void* to, void* from);
  enum class result : std::uint8_t { none, done, closed, failed, again };

  channel_core* channel = nullptr;  // null: never ready
  void* value = nullptr;            // a sender's: the value; a receiver's: where to put it
  take_function take = nullptr;     // a receiver's, unless values are words
  bool is_send = false;
  // Written by whoever ends the wait, under the latch.
  result outcome = result::none;
  std::exception_ptr error;  // failed: what the move of the value threw
  // While it waits.
  parking::waiter* primary = nullptr;  // whom to signal
  select_state* select = nullptr;      // of which select; null: a plain call
  wait_edges* edges = nullptr;         // null without ThreadSanitizer
};

// A case of a select: linked with the others, with room for its place in the channel's queue.
struct select_case_node : channel_case {
  static constexpr std::size_t waiter_size = 64;
  select_core* owner = nullptr;
  std::size_t index = 0;             // which argument
  select_case_node* next = nullptr;  // first as they were added, then by the address of the channel
  alignas(std::max_align_t) std::byte room[waiter_size];
};

// The cases of one select, and running it. Lives for one call. It links the nodes of the cases, which must stay where they are
// until it goes; a node knows by `owner` that it is listed, so that one case is not listed twice.
class select_core {
 public:
  static constexpr std::size_t none = SIZE_MAX;

  select_core() noexcept = default;
  select_core(const select_core&) = delete;
  select_core& operator=(const select_core&) = delete;
  ~select_core() {
    for (select_case_node* node = first_; node != nullptr; node = node->next) node->owner = nullptr;
  }

  // Lists a case of a channel, nil ones too. Throws std::logic_error if it is listed already.
  void add(select_case_node& node, std::size_t index) {
    if (node.owner == this) throw std::logic_error("select: one case listed twice");
    node.outcome = channel_case::result::none;
    node.index = index;
    ++count_;
    if (node.channel == nullptr) {
      is_nil_send_ = node.is_send;
      return;
    }
    node.owner = this;
    node.next = first_;
    first_ = &node;
  }
  // The cases without a channel. Of several limits the earliest counts, of the others the last.
  void otherwise(std::size_t index) noexcept { otherwise_ = index; }
  void until(const wait_limit& limit, std::size_t index) noexcept {
    if (timeout_ != none && limit.deadline() >= limit_.deadline()) return;
    limit_ = watch_ == nullptr ? limit : limit.or_stopped_by(*watch_);
    timeout_ = index;
  }
  void stopped_by(stop_watch& watch, std::size_t index) noexcept {
    watch_ = &watch;
    limit_ = limit_.or_stopped_by(watch);
    stop_ = index;
  }

  // Waits until a case can go on, and does what it says. The index of that case. Throws channel_closed if that was to
  // send on a closed channel, and whatever the move of a value throws.
  std::size_t run();

 private:
  friend class select_protocol;
  select_case_node* first_ = nullptr;
  std::size_t count_ = 0;     // cases of channels, nil ones too
  bool is_nil_send_ = false;  // what the last of those with nil wanted
  std::size_t otherwise_ = none;
  std::size_t timeout_ = none;
  std::size_t stop_ = none;
  stop_watch* watch_ = nullptr;
  wait_limit limit_;
};

// A channel. Made by make(), gone when the last handle is dropped.
class channel_core {
 public:
  channel_core(const channel_core&) = delete;
  channel_core& operator=(const channel_core&) = delete;

  // One handle. Throws std::invalid_argument, std::length_error, std::bad_alloc. Values must not need an alignment above
  // the type's. `extra` bytes follow the slots, 0 at first, for channels of the library's own.
  static channel_core* make(const channel_type& type, std::ptrdiff_t capacity, std::size_t extra = 0);
  void add_handle() noexcept { handles_.fetch_add(1, std::memory_order_relaxed); }
  void drop_handle() noexcept;

  // ok, closed, or timeout if the limit has ended; a null channel is nil. Rethrow what a move throws.
  static chan_status send(channel_core* channel, void* value, const wait_limit& limit);
  static chan_status receive(channel_core* channel, void* to, channel_case::take_function take,
                             const wait_limit& limit);
  // ok, closed or would_block.
  static chan_status try_send(channel_core* channel, void* value);
  static chan_status try_receive(channel_core* channel, void* to, channel_case::take_function take);
  // Throw what chan's close() and send() say.
  static void close(channel_core* channel);
  [[noreturn]] static void throw_send_on_closed();

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept { return type_->is_timer ? 0 : capacity_; }

 private:
  friend class channel_protocol;
  channel_core(const channel_type& type, std::size_t capacity) noexcept
      : capacity_(capacity), type_(&type), is_simple_(type.is_word && !type.is_timer) {}
  ~channel_core() = default;

  std::atomic<std::uint64_t> state_{0};
  parking::waiter* receivers_ = nullptr;  // guarded by the latch bit of state_
  parking::waiter* senders_ = nullptr;    // guarded by the latch
  std::size_t head_ = 0;                  // the slot of the oldest value; guarded by the latch
  const std::size_t capacity_;
  const channel_type* const type_;
  slot_edges* edges_ = nullptr;  // null without ThreadSanitizer
  std::atomic<std::uint32_t> handles_{1};
  bool is_simple_;  // values are words, and there is nothing to tell ThreadSanitizer
};

// One handle of a channel, or nil: counts it. chan, sender and receiver are made of it.
class channel_handle {
 public:
  constexpr channel_handle() noexcept = default;
  channel_handle(const channel_handle& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_handle();
  }
  channel_handle(channel_handle&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  channel_handle& operator=(channel_handle other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~channel_handle() {
    if (core_ != nullptr) core_->drop_handle();
  }

 protected:
  explicit channel_handle(channel_core* one_handle) noexcept : core_(one_handle) {}

 private:
  friend class channel_access;
  channel_core* core_ = nullptr;
};

// The way from a handle to its channel, for the library's own templates.
class channel_access {
 public:
  static channel_core* core(const channel_handle& handle) noexcept { return handle.core_; }
  static channel_handle share(channel_core* channel) noexcept {
    if (channel != nullptr) channel->add_handle();
    return channel_handle(channel);
  }
};

// How values of type T get into a channel and out of it.
template <class T>
class channel_value {
 public:
  // Trivial values of up to 8 bytes are copied as one word, by the library itself.
  static constexpr bool is_word = std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t);

  // Moves from `v` only if the outcome is ok.
  static chan_status send(channel_core* channel, T& v, const wait_limit& limit) {
    if constexpr (is_word) {
      std::uint64_t word = to_word(v);
      return channel_core::send(channel, &word, limit);
    } else {
      return channel_core::send(channel, std::addressof(v), limit);
    }
  }
  static chan_status try_send(channel_core* channel, T& v) {
    if constexpr (is_word) {
      std::uint64_t word = to_word(v);
      return channel_core::try_send(channel, &word);
    } else {
      return channel_core::try_send(channel, std::addressof(v));
    }
  }
  // `to` is empty before.
  static chan_status receive(channel_core* channel, std::optional<T>& to, const wait_limit& limit) {
    if constexpr (is_word) {
      std::uint64_t word = 0;
      const chan_status status = channel_core::receive(channel, &word, nullptr, limit);
      if (status == chan_status::ok) to.emplace(from_word(word));
      return status;
    } else {
      return channel_core::receive(channel, &to, take_into_optional, limit);
    }
  }
  // `to` keeps its value unless the outcome is ok.
  static chan_status receive(channel_core* channel, T& to, const wait_limit& limit) {
    if constexpr (is_word) {
      std::uint64_t word = 0;
      const chan_status status = channel_core::receive(channel, &word, nullptr, limit);
      if (status == chan_status::ok) to = from_word(word);
      return status;
    } else {
      return channel_core::receive(channel, std::addressof(to), take_by_assignment, limit);
    }
  }
  static chan_status try_receive(channel_core* channel, T& to) {
    if constexpr (is_word) {
      std::uint64_t word = 0;
      const chan_status status = channel_core::try_receive(channel, &word, nullptr);
      if (status == chan_status::ok) to = from_word(word);
      return status;
    } else {
      return channel_core::try_receive(channel, std::addressof(to), take_by_assignment);
    }
  }

  static std::uint64_t to_word(const T& v) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, std::addressof(v), sizeof(T));
    return word;
  }
  static T from_word(std::uint64_t word) noexcept {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &word, sizeof(T));
    return std::bit_cast<T>(bytes);
  }
  static void take_into_optional(void* to, void* from) {
    static_cast<std::optional<T>*>(to)->emplace(std::move(*static_cast<T*>(from)));
  }
  static void take_by_assignment(void* to, void* from) { *static_cast<T*>(to) = std::move(*static_cast<T*>(from)); }

  static constexpr channel_type type{
      .stride = (sizeof(T) + 7) / 8 * 8 < alignof(T) ? alignof(T) : (sizeof(T) + 7) / 8 * 8,
      .alignment = alignof(T),
      .is_word = is_word,
      .move = [](void* slot, void* value) { ::new (slot) T(std::move(*static_cast<T*>(value))); },
      .destroy = [](void* value) noexcept { static_cast<T*>(value)->~T(); },
  };
};

}  // namespace turnkey
