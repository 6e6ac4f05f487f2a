// The protocol of channels: what chan's calls and select have in common.
//
// The state word
//   bits 63..4  how many values are in the buffer
//   senders     somebody is queued to send
//   receivers   somebody is queued to receive
//   closed      set once, by close()
//   latched     somebody works on the channel. Nobody else changes the word, the queues, the ring or a waiting case.
//
// All of it changes under the latch only, and in the store that lets go of it, so the word as others read it was true at
// one moment: a call that must not wait sees by one look that it fails.
//
// Invariant B: somebody is queued to receive only while the buffer is empty, and to send only while it is full. (With
//   select there are nodes in the queues whose select has gone on elsewhere and has not come to take them out yet. They
//   count for nothing: whoever meets one takes it out.)
// Invariant F: who is served is the first in the queue that can still be chosen; who frees a slot has the first sender
//   fill it under the same latch; who brings a value while somebody waits for one hands it over. So nobody overtakes.
// Invariant C: a case of a select is served only by whoever has claimed that select, and a select is claimed once: by a
//   peer, under the latch of the case's channel, before the value moves; or by the select itself when its limit ends.
// Invariant T: who serves a node takes it out of the queue and writes the case's outcome under the latch, and signals
//   once the latch is free. So a plain call that is not queued any more will be signalled, and so will a select that it
//   has not claimed itself.
//
// A move may throw. Who hears of it, and what has changed:
//   a sender, moving into the buffer or into a waiting receiver   the sender; nothing, the receiver stays first
//   a receiver, moving out of the buffer or a waiting sender      the receiver; nothing, the value stays where it was
//   a receiver, moving a waiting sender's value into the slot     that sender, whose call ends by it; the next sender
//     that it has just freed                                      may fill the slot
// A waiting select has been claimed by then and may have lost its places in other queues: it is told to begin again.
//
// A channel is there as long as a call on it runs, since the caller has a handle. A peer that was served may drop the last
// handle other than the server's; the server signals after it has let go of the latch, and touches nothing after that.
#pragma once

#include <turnkey/channel_core.hpp>

#include "channel/slot_edges.hpp"
#include "parking/latch.hpp"
#include "parking/wait_queue.hpp"
#include "parking/waiter.hpp"

namespace turnkey {

// A select, as those see it who would serve one of its cases.
struct select_state {
  std::atomic<bool> is_claimed{false};

  // order: relaxed -- decides only who goes on. What the claimer writes next travels with its signal.
  bool claim() noexcept { return !is_claimed.exchange(true, std::memory_order_relaxed); }
};

class [[gnu::visibility("hidden")]] channel_protocol {
 public:
  static constexpr std::uint64_t latched = 1;
  static constexpr std::uint64_t closed = 2;
  static constexpr std::uint64_t receivers = 4;
  static constexpr std::uint64_t senders = 8;
  static constexpr std::uint64_t unit = 16;

  // The latch of a channel, from here to the end of the scope. Then signals those who were served.
  class hold {
   public:
    explicit hold(channel_core& c) noexcept : hold(c, latch(c)) {}
    // With the latch that the caller has set, and the word that this returned.
    hold(channel_core& c, std::uint64_t w) noexcept : channel(c), word(w) {}
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    ~hold() {
      if (is_held_) release();
    }
    void release() noexcept {
      unlatch(channel, keep_latch());
      served.signal_all();
    }
    // The latch is the caller's now, and nobody was served.
    std::uint64_t keep_latch() noexcept {
      is_held_ = false;
      return word;
    }

    channel_core& channel;
    std::uint64_t word;
    parking::wake_list served;

   private:
    bool is_held_ = true;
  };

  // order: acquire -- a word without the latch is what its last holder wrote; what else that one did is seen too.
  static std::uint64_t load(const channel_core& c) noexcept { return c.state_.load(std::memory_order_acquire); }
  static std::uint64_t latch(channel_core & c) noexcept { return parking::latch(c.state_, latched); }
  static void unlatch(channel_core & c, std::uint64_t word) noexcept {
    // order: release -- pairs with the acquire that sets the latch: queues, ring and waiting cases.
    c.state_.store(unlatched(c, word), std::memory_order_release);
  }
  static std::uint64_t unlatched(const channel_core& c, std::uint64_t word) noexcept {
    return (word & ~(latched | receivers | senders)) | queue_bits(c);
  }
  // While the latch stays set: what others see is the word as it was.
  static void keep(channel_core & c, std::uint64_t word) noexcept { c.state_.store(word, std::memory_order_relaxed); }

  static std::size_t size_of(std::uint64_t word) noexcept { return word / unit; }
  static std::size_t real_capacity(const channel_core& c) noexcept { return c.capacity_; }
  static bool is_timer(const channel_core& c) noexcept { return c.type_->is_timer; }
  // The bytes that make() was asked for in addition.
  static void* extra(channel_core & c) noexcept { return slot(c, c.capacity_); }
  // Whether the word alone says that a send, a receive can only wait.
  static bool must_send_wait(const channel_core& c, std::uint64_t word) noexcept {
    return (word & (closed | receivers)) == 0 && size_of(word) == c.capacity_;
  }
  static bool must_receive_wait(std::uint64_t word) noexcept { return (word & (closed | senders)) == 0 && word < unit; }

  // What follows is called under the latch and changes `word`, the channel's, in place.

  // Does what `me` wants if it is possible now: its outcome is done or closed then. False: it is not. Whom it serves goes
  // to `served`, to be signalled without the latch. Throws what a move throws.
  static bool serve(channel_core & c, std::uint64_t & word, channel_case & me, parking::wake_list & served) {
    return me.is_send ? serve_send(c, word, me, served) : serve_receive(c, word, me, served);
  }
  // Whether serve() would do it, unless a waiting select that it counts on is claimed by another meanwhile.
  static bool is_ready(channel_core & c, std::uint64_t word, const channel_case& me) noexcept;
  // Destroys the buffered values.
  static void clear(channel_core & c, std::uint64_t & word) noexcept;
  // Puts a case that is to wait at the end of its queue, or takes it out again.
  static void enqueue(channel_core & c, channel_case & me, parking::waiter & node);
  static void dequeue(channel_core & c, channel_case & me, parking::waiter & node) noexcept;

  // False: it was closed before. Without the latch.
  static bool close(channel_core & c) noexcept;

  // After the wait of a case that was served, without the latch: what its caller is to be told. Rethrows what a move has
  // thrown.
  static chan_status finish(channel_case & me);
  // After the wait of a case that is to begin again.
  static void forget_attempt(channel_case & me) noexcept;
  // After any wait: forgets what enqueue() has made.
  static void forget(channel_case & me) noexcept;

  // No limit: does not wait. `word`: as the caller has latched it; 0: it has not.
  static chan_status send(channel_core & c, void* value, const wait_limit* limit, std::uint64_t word = 0);
  static chan_status receive(channel_core & c, void* to, channel_case::take_function take, const wait_limit* limit,
                             std::uint64_t word = 0);
  // Waits for the end of the limit.
  static void wait_in_vain(parking::reason why, const wait_limit& limit) noexcept;

 private:
  friend class channel_core;

  static std::uint64_t queue_bits(const channel_core& c) noexcept {
    return (c.receivers_ != nullptr ? receivers : 0) | (c.senders_ != nullptr ? senders : 0);
  }
  static channel_case& case_of(const parking::waiter& w) noexcept {
    return *reinterpret_cast<channel_case*>(w.request);
  }
  static parking::wait_queue queue_of(channel_core & c, const channel_case& me) noexcept {
    return parking::wait_queue(me.is_send ? c.senders_ : c.receivers_);
  }

  static std::byte* slot(channel_core & c, std::size_t index) noexcept {
    const std::size_t alignment = c.type_->alignment;  // a power of 2
    const std::size_t start = (sizeof(channel_core) + alignment - 1) & ~(alignment - 1);
    return reinterpret_cast<std::byte*>(&c) + start + index * c.type_->stride;
  }
  static std::size_t after(const channel_core& c, std::size_t index) noexcept {
    return index + 1 == c.capacity_ ? 0 : index + 1;
  }
  static std::size_t tail(const channel_core& c, std::uint64_t word) noexcept {
    const std::size_t to_end = c.capacity_ - c.head_;
    return size_of(word) < to_end ? c.head_ + size_of(word) : size_of(word) - to_end;
  }

  static void append(channel_core & c, std::uint64_t word, void* value);
  static void take_oldest(channel_core & c, const channel_case& me);
  static void hand_over(channel_core & c, const channel_case& from, const channel_case& to, channel_case& waiting);
  static void append_for(channel_core & c, std::uint64_t word, channel_case & sender);

  static bool serve_send(channel_core & c, std::uint64_t & word, channel_case & me, parking::wake_list & served);
  static bool serve_receive(channel_core & c, std::uint64_t & word, channel_case & me, parking::wake_list & served);
  static chan_status release_to(channel_core & c, std::uint64_t word, parking::waiter & peer) noexcept;
  static void meet(channel_core & c, channel_case & me, parking::waiter & w, parking::wake_list & served);
  static void refill(channel_core & c, std::uint64_t & word, parking::wake_list & served) noexcept;
  static parking::waiter* first_live(parking::wait_queue queue) noexcept;
  static parking::waiter* claim_first(parking::wait_queue queue) noexcept;
  static void serve_waiting(channel_core & c, parking::waiter & w, channel_case::result outcome,
                            parking::wake_list & served) noexcept;
  static chan_status run(channel_core & c, std::uint64_t word, channel_case & me, const wait_limit* limit);
  static void enqueue_here(channel_core & c, channel_case & me, parking::waiter & node);
  static chan_status wait(channel_core & c, std::uint64_t word, channel_case & me, const wait_limit& limit);
  static chan_status wait_within(channel_core & c, std::uint64_t word, channel_case & me, parking::waiter & self,
                                 const wait_limit& limit);
  static chan_status send_quickly(channel_core & c, void* value, const wait_limit* limit);
  static chan_status receive_quickly(channel_core & c, void* to, const wait_limit* limit);
  static chan_status receive_from_any(channel_core * channel, void* to, channel_case::take_function take,
                                      const wait_limit* limit);
};

}  // namespace turnkey
