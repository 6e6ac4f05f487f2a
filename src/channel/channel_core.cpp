#include "channel/channel_core.hpp"

#include <utility>

#include "channel/timer.hpp"

namespace turnkey {

using parking::reason;
using parking::wait_queue;
using parking::waiter;
using parking::wake_list;
using result = channel_case::result;

// ---- Values -----------------------------------------------------------------------------------------------------

namespace {

void copy_word(void* to, const void* from) noexcept { std::memcpy(to, from, sizeof(std::uint64_t)); }

// What is done to a slot, or for a peer that waits: ordered by the latch, of which ThreadSanitizer must not know.
template <class Action>
void hide(const slot_edges* edges, Action action) {
  if (edges == nullptr) [[likely]] {
    action();
  } else {
    const platform::tsan_ignore ignore;
    action();
  }
}

// To where the receiver wants it.
void move_to(const channel_case& receiver, void* from, const channel_type& type) {
  if (type.is_word) {
    copy_word(receiver.value, from);
  } else {
    receiver.take(receiver.value, from);
  }
}

void move_to_slot(void* slot, void* from, const channel_type& type) {
  if (type.is_word) {
    copy_word(slot, from);
  } else {
    type.move(slot, from);
  }
}

}  // namespace

// Into the slot behind the last value. The caller counts it.
void channel_protocol::append(channel_core& c, std::uint64_t word, void* value) {
  const std::size_t index = tail(c, word);
  if (c.edges_ != nullptr) c.edges_->enter(index);
  hide(c.edges_, [&] { move_to_slot(slot(c, index), value, *c.type_); });
  if (c.edges_ != nullptr) c.edges_->leave(index);
}

// The same for a sender that waits.
void channel_protocol::append_for(channel_core& c, std::uint64_t word, channel_case& sender) {
  const std::size_t index = tail(c, word);
  // The caller, which has emptied a slot, comes before the end of the send that fills it - even if it fails.
  if (sender.edges != nullptr) sender.edges->after.release();
  hide(c.edges_, [&] { move_to_slot(slot(c, index), sender.value, *c.type_); });
  if (sender.edges != nullptr) c.edges_->exchange(index, *sender.edges);
}

// Out of the first slot. The caller counts it.
void channel_protocol::take_oldest(channel_core& c, const channel_case& me) {
  const std::size_t index = c.head_;
  if (c.edges_ != nullptr) c.edges_->enter(index);
  hide(c.edges_, [&] {
    move_to(me, slot(c, index), *c.type_);
    if (!c.type_->is_word) c.type_->destroy(slot(c, index));
  });
  if (c.edges_ != nullptr) c.edges_->leave(index);
  c.head_ = after(c, index);
}

// From a sender's frame to a receiver's, of whom one waits.
void channel_protocol::hand_over(channel_core& c, const channel_case& from, const channel_case& to,
                                 channel_case& waiting) {
  if (c.edges_ == nullptr) [[likely]] {
    move_to(to, from.value, *c.type_);
  } else if (c.capacity_ == 0) {
    waiting.edges->before->acquire();
    try {
      move_to(to, from.value, *c.type_);
    } catch (...) {
      // What the move has done to the frame of the one that waits comes before the next attempt, and before its own next.
      waiting.edges->before->release();
      waiting.edges->after.release();
      throw;
    }
    waiting.edges->after.release();
  } else {
    // As if through the buffer, which is empty.
    c.edges_->enter(c.head_);
    hide(c.edges_, [&] { move_to(to, from.value, *c.type_); });
    waiting.edges->after.release();
    c.edges_->exchange(c.head_, *waiting.edges);
    c.head_ = after(c, c.head_);
  }
}

void channel_protocol::clear(channel_core& c, std::uint64_t& word) noexcept {
  for (; size_of(word) != 0; word -= unit) {
    if (c.edges_ != nullptr) c.edges_->enter(c.head_);
    if (!c.type_->is_word) hide(c.edges_, [&] { c.type_->destroy(slot(c, c.head_)); });
    if (c.edges_ != nullptr) c.edges_->leave(c.head_);
    c.head_ = after(c, c.head_);
  }
}

// ---- Those who wait ---------------------------------------------------------------------------------------------

// The first in the queue that is not of a select that has been claimed. Takes out those before it.
waiter* channel_protocol::first_live(wait_queue queue) noexcept {
  for (;;) {
    waiter* const w = queue.front();
    if (w == nullptr) return nullptr;
    const select_state* const select = case_of(*w).select;
    if (select == nullptr || !select->is_claimed.load(std::memory_order_relaxed)) return w;
    queue.remove(*w);
  }
}

// The first in the queue that may be served: if it is of a select, that is claimed now (invariant C).
waiter* channel_protocol::claim_first(wait_queue queue) noexcept {
  for (;;) {
    waiter* const w = queue.front();
    if (w == nullptr) return nullptr;
    select_state* const select = case_of(*w).select;
    if (select == nullptr || select->claim()) return w;
    queue.remove(*w);
  }
}

// Invariant T.
void channel_protocol::serve_waiting(channel_core& c, waiter& w, result outcome, wake_list& served) noexcept {
  channel_case& waiting = case_of(w);
  queue_of(c, waiting).remove(w);
  waiting.outcome = outcome;
  served.push_back(*waiting.primary);
}

// `me` and its peer, who waits and may be served, meet.
void channel_protocol::meet(channel_core& c, channel_case& me, waiter& w, wake_list& served) {
  channel_case& peer = case_of(w);
  try {
    if (me.is_send) {
      hand_over(c, me, peer, peer);
    } else {
      hand_over(c, peer, me, peer);
    }
  } catch (...) {
    if (peer.select != nullptr) serve_waiting(c, w, result::again, served);
    throw;
  }
  serve_waiting(c, w, result::done, served);
  me.outcome = result::done;
}

bool channel_protocol::serve_send(channel_core& c, std::uint64_t& word, channel_case& me, wake_list& served) {
  if ((word & closed) != 0) {
    me.outcome = result::closed;
    return true;
  }
  if (waiter* const w = claim_first(wait_queue(c.receivers_))) {
    meet(c, me, *w, served);
    return true;
  }
  if (size_of(word) == c.capacity_) return false;
  append(c, word, me.value);
  word += unit;
  me.outcome = result::done;
  return true;
}

bool channel_protocol::serve_receive(channel_core& c, std::uint64_t& word, channel_case& me, wake_list& served) {
  if (size_of(word) != 0) {
    take_oldest(c, me);
    word -= unit;
    me.outcome = result::done;
    refill(c, word, served);
    return true;
  }
  if (waiter* const w = claim_first(wait_queue(c.senders_))) {
    meet(c, me, *w, served);
    return true;
  }
  if ((word & closed) == 0) return false;
  platform::tsan_acquire(&c.state_);
  me.outcome = result::closed;
  return true;
}

// A slot has become free: the first sender that waits fills it.
void channel_protocol::refill(channel_core& c, std::uint64_t& word, wake_list& served) noexcept {
  while (waiter* const w = claim_first(wait_queue(c.senders_))) {
    channel_case& sender = case_of(*w);
    try {
      append_for(c, word, sender);
      word += unit;
      serve_waiting(c, *w, result::done, served);
      return;
    } catch (...) {
      sender.error = std::current_exception();
      serve_waiting(c, *w, result::failed, served);
    }
  }
}

bool channel_protocol::is_ready(channel_core& c, std::uint64_t word, const channel_case& me) noexcept {
  if ((word & closed) != 0) return true;
  if (me.is_send) return size_of(word) != c.capacity_ || first_live(wait_queue(c.receivers_)) != nullptr;
  return size_of(word) != 0 || first_live(wait_queue(c.senders_)) != nullptr;
}

// Everybody in both queues learns of it.
bool channel_protocol::close(channel_core& c) noexcept {
  hold held(c);
  if ((held.word & closed) != 0) return false;
  held.word |= closed;
  platform::tsan_release(&c.state_);
  while (waiter* const w = claim_first(wait_queue(c.receivers_))) serve_waiting(c, *w, result::closed, held.served);
  while (waiter* const w = claim_first(wait_queue(c.senders_))) serve_waiting(c, *w, result::closed, held.served);
  return true;
}

// ---- Waiting ----------------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline void channel_protocol::enqueue_here(channel_core& c, channel_case& me, waiter& node) {
  node.request = reinterpret_cast<std::uintptr_t>(&me);
  if (c.edges_ != nullptr) [[unlikely]] {
    me.edges = new wait_edges;
    me.edges->before->release();
  }
  queue_of(c, me).push_back(node);
}

void channel_protocol::enqueue(channel_core& c, channel_case& me, waiter& node) { enqueue_here(c, me, node); }

void channel_protocol::dequeue(channel_core& c, channel_case& me, waiter& node) noexcept {
  if (wait_queue::is_queued(node)) queue_of(c, me).remove(node);
}

void channel_protocol::forget(channel_case& me) noexcept { delete std::exchange(me.edges, nullptr); }

void channel_protocol::forget_attempt(channel_case& me) noexcept {
  if (me.edges != nullptr) me.edges->after.acquire();
  forget(me);
}

chan_status channel_protocol::finish(channel_case& me) {
  if (me.edges != nullptr) me.edges->after.acquire();
  forget(me);
  if (me.outcome == result::failed) std::rethrow_exception(std::exchange(me.error, nullptr));
  if (me.outcome == result::done) return chan_status::ok;
  if (!me.is_send) platform::tsan_acquire(&me.channel->state_);
  return chan_status::closed;
}

void channel_protocol::wait_in_vain(reason why, const wait_limit& limit) noexcept {
  waiter self(why, nullptr);
  self.wait(limit);  // nobody will signal it
}

// With the latch set, which it lets go of.
[[gnu::always_inline]] inline chan_status channel_protocol::wait(channel_core& c, std::uint64_t word, channel_case& me,
                                                                 const wait_limit& limit) {
  waiter self(me.is_send ? reason::chan_send : reason::chan_receive, &c);
  me.primary = &self;
  enqueue_here(c, me, self);
  if (!limit.is_unlimited()) [[unlikely]]
    return wait_within(c, word, me, self, limit);
  self.wait_unlatching(c.state_, unlatched(c, word));
  if (me.outcome == result::done && me.edges == nullptr) [[likely]]
    return chan_status::ok;
  return finish(me);
}

chan_status channel_protocol::wait_within(channel_core& c, std::uint64_t word, channel_case& me, waiter& self,
                                          const wait_limit& limit) {
  unlatch(c, word);
  if (!self.wait(limit)) {
    const std::uint64_t now = latch(c);
    const bool is_waiting = wait_queue::is_queued(self);
    dequeue(c, me, self);
    unlatch(c, now);
    if (is_waiting) {
      forget_attempt(me);
      return chan_status::timeout;
    }
    self.await_signal();
  }
  return finish(me);
}

// With the latch set, which it lets go of. No limit: does not wait.
[[gnu::always_inline]] inline chan_status channel_protocol::run(channel_core& c, std::uint64_t word, channel_case& me,
                                                                const wait_limit* limit) {
  if (limit != nullptr && (me.is_send ? must_send_wait(c, word) : must_receive_wait(word))) {
    return wait(c, word, me, *limit);
  }
  hold held(c, word);
  if (serve(c, held.word, me, held.served)) return me.outcome == result::done ? chan_status::ok : chan_status::closed;
  if (limit == nullptr) return chan_status::would_block;
  return wait(c, held.keep_latch(), me, *limit);
}

// ---- The calls --------------------------------------------------------------------------------------------------

[[gnu::noinline]] chan_status channel_protocol::send(channel_core& c, void* value, const wait_limit* limit,
                                                     std::uint64_t word) {
  channel_case me;
  me.channel = &c;
  me.value = value;
  me.is_send = true;
  return run(c, word != 0 ? word : latch(c), me, limit);
}

[[gnu::noinline]] chan_status channel_protocol::receive(channel_core& c, void* to, channel_case::take_function take,
                                                        const wait_limit* limit, std::uint64_t word) {
  channel_case me;
  me.channel = &c;
  me.value = to;
  me.take = take;
  return run(c, word != 0 ? word : latch(c), me, limit);
}

// A plain peer that was taken out of its queue has what it wanted: lets go of the latch and of the peer.
inline chan_status channel_protocol::release_to(channel_core& c, std::uint64_t word, waiter& peer) noexcept {
  case_of(peer).outcome = result::done;
  unlatch(c, word);
  peer.signal();
  return chan_status::ok;
}

// The common cases of simple channels, first and without a frame: a buffer with room and nobody waits, or a plain call
// waits for just this. They do what run() would do.
inline chan_status channel_protocol::send_quickly(channel_core& c, void* value, const wait_limit* limit) {
  const std::uint64_t word = parking::try_latch(c.state_, latched);
  if (word != 0) [[likely]] {
    if ((word & (closed | receivers)) == 0 && size_of(word) < c.capacity_) {
      copy_word(slot(c, tail(c, word)), value);
      // order: release -- as in unlatch().
      c.state_.store(word + unit - latched, std::memory_order_release);
      return chan_status::ok;
    }
    waiter* const peer = c.receivers_;
    if (peer != nullptr && case_of(*peer).select == nullptr) {
      copy_word(case_of(*peer).value, value);
      wait_queue(c.receivers_).remove(*peer);
      return release_to(c, word, *peer);
    }
  }
  return send(c, value, limit, word);
}

inline chan_status channel_protocol::receive_quickly(channel_core& c, void* to, const wait_limit* limit) {
  const std::uint64_t word = parking::try_latch(c.state_, latched);
  if (word != 0) [[likely]] {
    if (word >= unit) {
      if ((word & senders) == 0) {
        copy_word(to, slot(c, c.head_));
        c.head_ = after(c, c.head_);
        // order: release -- as in unlatch().
        c.state_.store(word - unit - latched, std::memory_order_release);
        return chan_status::ok;
      }
    } else if (waiter* const peer = c.senders_; peer != nullptr && case_of(*peer).select == nullptr) {
      copy_word(to, case_of(*peer).value);
      wait_queue(c.senders_).remove(*peer);
      return release_to(c, word, *peer);
    }
  }
  return receive(c, to, nullptr, limit, word);
}

// Of what is not simple, timers' channels and nil among it.
[[gnu::noinline]] chan_status channel_protocol::receive_from_any(channel_core* channel, void* to,
                                                                 channel_case::take_function take,
                                                                 const wait_limit* limit) {
  if (channel == nullptr) {
    if (limit == nullptr) return chan_status::would_block;
    wait_in_vain(reason::chan_receive_nil, *limit);
    return chan_status::timeout;
  }
  if (is_timer(*channel)) return channel_timer::of(*channel).receive(to, limit);
  if (limit == nullptr && must_receive_wait(load(*channel))) return chan_status::would_block;
  return receive(*channel, to, take, limit);
}

chan_status channel_core::send(channel_core* channel, void* value, const wait_limit& limit) {
  if (channel != nullptr && channel->is_simple_) [[likely]]
    return channel_protocol::send_quickly(*channel, value, &limit);
  if (channel != nullptr) return channel_protocol::send(*channel, value, &limit);
  channel_protocol::wait_in_vain(reason::chan_send_nil, limit);
  return chan_status::timeout;
}

chan_status channel_core::receive(channel_core* channel, void* to, channel_case::take_function take,
                                  const wait_limit& limit) {
  if (channel != nullptr && channel->is_simple_) [[likely]]
    return channel_protocol::receive_quickly(*channel, to, &limit);
  return channel_protocol::receive_from_any(channel, to, take, &limit);
}

chan_status channel_core::try_send(channel_core* channel, void* value) {
  if (channel == nullptr || channel_protocol::must_send_wait(*channel, channel_protocol::load(*channel))) {
    return chan_status::would_block;
  }
  return channel->is_simple_ ? channel_protocol::send_quickly(*channel, value, nullptr)
                             : channel_protocol::send(*channel, value, nullptr);
}

chan_status channel_core::try_receive(channel_core* channel, void* to, channel_case::take_function take) {
  if (channel == nullptr || !channel->is_simple_) {
    return channel_protocol::receive_from_any(channel, to, take, nullptr);
  }
  if (channel_protocol::must_receive_wait(channel_protocol::load(*channel))) return chan_status::would_block;
  return channel_protocol::receive_quickly(*channel, to, nullptr);
}

}  // namespace turnkey
