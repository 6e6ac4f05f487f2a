// turnkey/chan.hpp -- channels: values go from one thread of control to another, in order, and with them what was done.
//
//   auto jobs = turnkey::make_chan<job>(16);
//   turnkey::go([jobs] { for (job& j : jobs) run(j); });
//   jobs.send(job{1});  jobs.send(job{2});  jobs.close();
//
// A chan<T> is a handle of 8 bytes, as a pointer is: copies share one channel, and the channel goes with its last handle,
// values and all. A handle that was not given a channel is nil, as in Go: one that is never ready.
//
// Guarantees
//   Strictly FIFO, values, senders and receivers: who comes first is served first, and nobody overtakes.
//   Without capacity a send returns when a receiver has the value. With capacity n, n values wait in the channel.
//   Order: what was done before a send is seen after the receive of that value; what was done before a receive is seen
//   after the send that takes its place (the n-th after; without capacity, the same one); what was done before close()
//   is seen by whoever receives "closed".
//   Inside, a value is moved and never copied. If its move throws, the call that needed it throws and nothing has changed:
//   no value is lost or doubled. It must leave its source as it was then, and no move or destructor of T may block or use
//   the channel: they run under the channel's latch. A sender can learn of it late, when a receiver makes room for it.
//   A value that could not be sent has not been moved from.
//   No allocation after make_chan().
//   Cost: a send or a receive that need not wait is a compare-and-swap, a store and the move of the value.
// A call that does not throw for it says how it ended by a chan_status: ok; closed, nothing was sent or received, nor will be;
// would_block, not at once, or stopped; timeout.
// Misuse is an exception, as a panic is in Go: sending on a closed channel, closing twice, closing nil. Waiting for a channel
// that nobody will ever serve, nil for one, is a deadlock if nobody else is left.
// A handle that is in use must not be assigned to or destroyed by another: a waiting call keeps no handle of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/channel_core.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// what(): "send on closed channel" or "close of closed channel".
class channel_closed : public std::logic_error {
 public:
  explicit channel_closed(const char* what) : std::logic_error(what) {}
  ~channel_closed() override;
};

// What chan, sender and receiver have in common. Copying, comparing and asking never block, allocate or throw. A copy is an
// atomic addition; the last handle to go destroys what is left in the channel.
class any_chan : public channel_handle {
 public:
  constexpr any_chan() noexcept = default;
  // False: nil.
  explicit operator bool() const noexcept { return channel_access::core(*this) != nullptr; }
  // The values in the channel's buffer, and how many there is room for; 0 of nil. May be out of date at once; orders nothing.
  // Go: len, cap.
  [[nodiscard]] std::size_t size() const noexcept { return *this ? channel_access::core(*this)->size() : 0; }
  [[nodiscard]] std::size_t capacity() const noexcept { return *this ? channel_access::core(*this)->capacity() : 0; }
  // Whether both are the same channel.
  friend bool operator==(const any_chan& a, const any_chan& b) noexcept {
    return channel_access::core(a) == channel_access::core(b);
  }

 protected:
  explicit any_chan(channel_core* one_handle) noexcept : channel_handle(one_handle) {}
};

// A sender's half. May be called from goroutines and OS threads, at any time, concurrently. Throws what copying or moving a
// value throws.
template <class T, class Handle>
class sending_end {
 public:
  // Waits until there is room, or a receiver, and sends. Throws channel_closed if the channel is closed or becomes so
  // before. A nil channel: waits for ever. Here and below, a value that is not to be moved is copied first. Go: c <- v.
  void send(T&& v) const { transfer(v, wait_limit()); }
  void send(const T& v) const requires std::is_copy_constructible_v<T> { send(T(v)); }
  // The same until a stop is requested; false: stopped, and nothing was sent. A stop that was requested before: does not try.
  // Go: select { case c <- v: case <-ctx.Done(): }.
  bool send(T&& v, std::stop_token token) const {
    if (!token.stop_possible()) return transfer(v, wait_limit());
    stop_watch watch(std::move(token));
    return !watch.is_raised() && transfer(v, wait_limit::stopped_by(watch));
  }
  bool send(const T& v, std::stop_token token) const requires std::is_copy_constructible_v<T> {
    return send(T(v), std::move(token));
  }
  // ok, or at once would_block or closed: does not throw for that. Never blocks, never fails spuriously. Go: a select with
  // default.
  chan_status try_send(T&& v) const { return channel_value<T>::try_send(core(), v); }
  chan_status try_send(const T& v) const requires std::is_copy_constructible_v<T> { return try_send(T(v)); }
  // ok, closed, or timeout after `period` or at `when`. A time that has passed still tries once. Go: a select with time.After.
  template <class Rep, class Period>
  chan_status send_for(T&& v, const std::chrono::duration<Rep, Period>& period) const {
    return channel_value<T>::send(core(), v, wait_limit::after(period));
  }
  template <class Rep, class Period>
  chan_status send_for(
      const T& v, const std::chrono::duration<Rep, Period>& period) const requires std::is_copy_constructible_v<T> {
    return send_for(T(v), period);
  }
  template <class Clock, class Duration>
  chan_status send_until(T&& v, const std::chrono::time_point<Clock, Duration>& when) const {
    return channel_value<T>::send(core(), v, wait_limit::until(when));
  }
  template <class Clock, class Duration>
  chan_status send_until(
      const T& v, const std::chrono::time_point<Clock, Duration>& when) const requires std::is_copy_constructible_v<T> {
    return send_until(T(v), when);
  }

  // No more values will come. Receivers get what is in the buffer, then "closed"; whoever waits to send gets the
  // exception. Throws channel_closed("close of closed channel"), std::logic_error("close of nil channel"). Never blocks. By
  // one who knows that nobody sends any more; who only receives need not and cannot. Go: close.
  void close() const { channel_core::close(core()); }

 private:
  channel_core* core() const noexcept { return channel_access::core(static_cast<const Handle&>(*this)); }
  // False: the limit has ended.
  bool transfer(T& v, const wait_limit& limit) const {
    const chan_status status = channel_value<T>::send(core(), v, limit);
    if (status == chan_status::closed) channel_core::throw_send_on_closed();
    return status == chan_status::ok;
  }
};

// A receiver's half. May be called from goroutines and OS threads, at any time, concurrently. Throws what moving a value
// throws.
template <class T, class Handle>
class receiving_end {
 public:
  // Waits for a value. Empty: the channel is closed and nothing is left in it. A nil channel: waits for ever. Go: <-c.
  std::optional<T> recv() const {
    std::optional<T> v;
    channel_value<T>::receive(core(), v, wait_limit());
    return v;
  }
  // The same until a stop is requested; empty if it was, as if closed: recv(v, token) tells which. A stop that was requested
  // before: does not try. Go: select { case v, ok := <-c: case <-ctx.Done(): }.
  std::optional<T> recv(std::stop_token token) const {
    if (!token.stop_possible()) return recv();
    std::optional<T> v;
    stop_watch watch(std::move(token));
    if (!watch.is_raised()) channel_value<T>::receive(core(), v, wait_limit::stopped_by(watch));
    return v;
  }
  // Assigns the value to `v`: ok. Or closed, and with a token would_block if stopped; then v is as it was.
  chan_status recv(T& v) const { return channel_value<T>::receive(core(), v, wait_limit()); }
  chan_status recv(T& v, std::stop_token token) const {
    if (!token.stop_possible()) return recv(v);
    stop_watch watch(std::move(token));
    if (watch.is_raised()) return chan_status::would_block;
    const chan_status status = channel_value<T>::receive(core(), v, wait_limit::stopped_by(watch));
    return status == chan_status::timeout ? chan_status::would_block : status;
  }
  // ok, or at once would_block or closed. Never blocks, never fails spuriously. Go: a select with default.
  chan_status try_recv(T& v) const { return channel_value<T>::try_receive(core(), v); }
  // ok, closed, or timeout after `period` or at `when`. A time that has passed still tries once. Go: a select with time.After.
  template <class Rep, class Period>
  chan_status recv_for(T& v, const std::chrono::duration<Rep, Period>& period) const {
    return channel_value<T>::receive(core(), v, wait_limit::after(period));
  }
  template <class Clock, class Duration>
  chan_status recv_until(T& v, const std::chrono::time_point<Clock, Duration>& when) const {
    return channel_value<T>::receive(core(), v, wait_limit::until(when));
  }

  // Every value until the channel is closed and empty: for (T& v : c). begin() and ++ wait, and throw what T's move throws. An
  // iterator has the value and a handle, so the loop's variable may be moved from, and `c` may go. Several may iterate at
  // once: each value goes to one of them. Of nil: waits for ever. Go: range.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    explicit iterator(Handle from) : from_(std::move(from)) { ++*this; }
    T& operator*() const noexcept { return *current_; }
    iterator& operator++() {
      current_.reset();
      channel_value<T>::receive(channel_access::core(from_), current_, wait_limit());
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept { return !i.current_.has_value(); }

   private:
    Handle from_;
    mutable std::optional<T> current_;
  };
  [[nodiscard]] iterator begin() const { return iterator(static_cast<const Handle&>(*this)); }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return std::default_sentinel; }

 private:
  channel_core* core() const noexcept { return channel_access::core(static_cast<const Handle&>(*this)); }
};

// Both ends. T may be move-only, and must not throw when destroyed. Go: chan T.
template <class T>
class chan : public any_chan, public sending_end<T, chan<T>>, public receiving_end<T, chan<T>> {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T>,
                "a channel carries plain values: no references, arrays or const");
  static_assert(std::is_move_constructible_v<T>, "a channel moves its values: this type cannot be moved");
  static_assert(std::is_nothrow_destructible_v<T>, "a channel destroys values: that must not throw");

 public:
  using value_type = T;
  // Nil.
  constexpr chan() noexcept = default;

 private:
  template <class U>
  friend chan<U> make_chan(std::ptrdiff_t capacity);
  explicit chan(channel_core* one_handle) noexcept : any_chan(one_handle) {}
};

// The end that sends, and closes. What a chan<T> converts to; there is no way back. Go: chan<- T.
template <class T>
class sender : public any_chan, public sending_end<T, sender<T>> {
 public:
  using value_type = T;
  constexpr sender() noexcept = default;
  sender(chan<T> both) noexcept : any_chan(std::move(both)) {}
};

// The end that receives. What a chan<T> converts to; there is no way back. Go: <-chan T.
template <class T>
class receiver : public any_chan, public receiving_end<T, receiver<T>> {
 public:
  using value_type = T;
  constexpr receiver() noexcept = default;
  receiver(chan<T> both) noexcept : any_chan(std::move(both)) {}

 private:
  friend class tick_source;
  explicit receiver(channel_core* one_handle) noexcept : any_chan(one_handle) {}
};

// A channel with room for `capacity` values; with none, sender and receiver meet. One allocation, all of it at once. Throws
// std::invalid_argument("makechan: size out of range") if negative, std::length_error with the same words if no memory could
// hold it, std::bad_alloc if this one does not.
// Go: make(chan T, n).
template <class T>
[[nodiscard]] chan<T> make_chan(std::ptrdiff_t capacity = 0) {
  return chan<T>(channel_core::make(channel_value<T>::type, capacity));
}

}  // namespace turnkey
