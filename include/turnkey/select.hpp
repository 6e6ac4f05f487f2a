// turnkey/select.hpp -- waits for whichever of several channels is ready first.
//
//   turnkey::select(turnkey::on_recv(jobs, [&](std::optional<job> j) { if (j) run(*j); }),
//                   turnkey::on_send(log, line, [&] { ++sent; }),
//                   turnkey::on_timeout(10ms, [&] { ++late; }));
//
// Go: select. A case is made by on_recv, on_send, on_timeout, on_stop or otherwise; exactly one runs, and select returns
// its index in the order of the arguments. A range of cases does as well as a list: std::vector<select_case>.
//
// Guarantees
//   Of several that are ready, each is as likely as the others. The channels are judged at one moment, all at once.
//   A nil channel is never ready; a closed one always is: to receive, with an empty optional; to send, with an exception.
//   A channel may be listed several times, and to send as well as to receive; a select never meets itself.
//   Handlers run after all channels are let go, on the caller. They may wait, select, throw: the value has been received
//   or sent by then. A value is moved from only if its case is chosen.
//   No cases, or only nil ones: waits for ever. No polling. No allocation.
//   If the move of a value throws, select throws it, and no channel has changed; see chan.hpp.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/chan.hpp>

namespace turnkey {

// What all cases are. A case refers to the channel, and to a value to be moved, that it was made of. Once copied or moved,
// as into a container, it has them for itself. May be used again, by one select at a time; a value that was sent has gone.
struct basic_select_case {};
template <class C>
concept select_case_type = std::derived_from<std::remove_cvref_t<C>, basic_select_case>;

// What a handler that was not given does.
struct do_nothing {
  void operator()() const noexcept {}
};

// A channel that a case refers to, and shares once it was copied.
class case_channel {
 public:
  explicit case_channel(const channel_handle& lent) noexcept : core_(channel_access::core(lent)) {}
  explicit case_channel(channel_handle&& given) noexcept : core_(channel_access::core(given)), own_(std::move(given)) {}
  case_channel(const case_channel& other) noexcept : core_(other.core_), own_(channel_access::share(other.core_)) {}
  case_channel& operator=(const case_channel&) = delete;
  ~case_channel() = default;
  [[nodiscard]] channel_core* core() const noexcept { return core_; }

 private:
  channel_core* core_;
  channel_handle own_;
};

template <class T, class Handler>
class recv_case : public basic_select_case {
 public:
  template <class Channel>
  recv_case(Channel&& from, Handler handler) : channel_(std::forward<Channel>(from)), handler_(std::move(handler)) {}
  recv_case(const recv_case& other) : channel_(other.channel_), handler_(other.handler_) {}
  recv_case(recv_case&& other) noexcept(std::is_nothrow_move_constructible_v<Handler>)
      : channel_(other.channel_), handler_(std::move(other.handler_)) {}

  void join(select_core& all, std::size_t index) {
    value_ = {};
    node_.channel = channel_.core();
    node_.value = &value_;
    if constexpr (!channel_value<T>::is_word) node_.take = channel_value<T>::take_into_optional;
    all.add(node_, index);
  }
  void run() {
    if constexpr (!std::is_invocable_v<Handler&, std::optional<T>>) {
      handler_();
    } else if constexpr (channel_value<T>::is_word) {
      const bool is_ok = node_.outcome == channel_case::result::done;
      handler_(is_ok ? std::optional<T>(channel_value<T>::from_word(value_)) : std::nullopt);
    } else {
      handler_(std::move(value_));
    }
  }

 private:
  using room = std::conditional_t<channel_value<T>::is_word, std::uint64_t, std::optional<T>>;
  case_channel channel_;
  Handler handler_;
  room value_{};
  select_case_node node_;
};

template <class T, class Handler>
class send_case : public basic_select_case {
 public:
  template <class Channel>
  send_case(Channel&& to, T&& lent, Handler handler)
      : channel_(std::forward<Channel>(to)), handler_(std::move(handler)), lent_(std::addressof(lent)) {
    if constexpr (channel_value<T>::is_word) own(std::move(lent));  // as cheap as a pointer
  }
  template <class Channel>
  send_case(Channel&& to, const T& copied, Handler handler)
      : channel_(std::forward<Channel>(to)), handler_(std::move(handler)) {
    own(copied);
  }
  send_case(const send_case& other) requires std::is_copy_constructible_v<T> : channel_(other.channel_),
                                                                               handler_(other.handler_) {
    own(*other.lent_);
  }
  send_case(send_case&& other) : channel_(other.channel_), handler_(std::move(other.handler_)) {
    own(std::move(*other.lent_));
  }

  void join(select_core& all, std::size_t index) {
    node_.channel = channel_.core();
    node_.is_send = true;
    node_.value = lent_;
    if constexpr (channel_value<T>::is_word) {
      word_ = channel_value<T>::to_word(*lent_);
      node_.value = &word_;
    }
    all.add(node_, index);
  }
  void run() { handler_(); }

 private:
  template <class V>
  void own(V&& v) {
    lent_ = std::addressof(owned_.emplace(std::forward<V>(v)));
  }

  case_channel channel_;
  Handler handler_;
  std::optional<T> owned_;
  T* lent_ = nullptr;
  std::uint64_t word_ = 0;
  select_case_node node_;
};

template <class When, class Handler>
class timeout_case : public basic_select_case {
 public:
  timeout_case(When when, Handler handler) : when_(when), handler_(std::move(handler)) {}
  void join(select_core& all, std::size_t index) {
    if constexpr (requires { typename When::clock; }) {
      all.until(wait_limit::until(when_), index);
    } else {
      all.until(wait_limit::after(when_), index);
    }
  }
  void run() { handler_(); }

 private:
  When when_;
  Handler handler_;
};

template <class Handler>
class stop_case : public basic_select_case {
 public:
  stop_case(std::stop_token token, Handler handler) : token_(std::move(token)), handler_(std::move(handler)) {}
  stop_case(const stop_case& other) : token_(other.token_), handler_(other.handler_) {}
  stop_case(stop_case&& other) : token_(std::move(other.token_)), handler_(std::move(other.handler_)) {}

  void join(select_core& all, std::size_t index) {
    watch_.reset();
    if (token_.stop_possible()) all.stopped_by(watch_.emplace(token_), index);
  }
  void run() { handler_(); }

 private:
  std::stop_token token_;
  Handler handler_;
  std::optional<stop_watch> watch_;
};

template <class Handler>
class otherwise_case : public basic_select_case {
 public:
  explicit otherwise_case(Handler handler) : handler_(std::move(handler)) {}
  void join(select_core& all, std::size_t index) { all.otherwise(index); }
  void run() { handler_(); }

 private:
  Handler handler_;
};

// Receives, and calls handler(std::optional<T>), or handler(). Go: case v, ok := <-c.
template <class Channel, class Handler = do_nothing>
[[nodiscard]] auto on_recv(Channel&& from, Handler handler = {}) {
  using end = std::remove_cvref_t<Channel>;
  using T = typename end::value_type;
  static_assert(std::derived_from<end, receiving_end<T, end>>, "one cannot receive from a sender");
  static_assert(std::is_invocable_v<Handler&, std::optional<T>> || std::is_invocable_v<Handler&>,
                "the handler of on_recv takes a std::optional of the channel's values, or nothing");
  return recv_case<T, Handler>(std::forward<Channel>(from), std::move(handler));
}

// Sends the value, and calls handler(). If the channel is closed, select throws channel_closed. Go: case c <- v.
template <class Channel, class Handler = do_nothing>
[[nodiscard]] auto on_send(Channel&& to, typename std::remove_cvref_t<Channel>::value_type&& v, Handler handler = {}) {
  using end = std::remove_cvref_t<Channel>;
  using T = typename end::value_type;
  static_assert(std::derived_from<end, sending_end<T, end>>, "one cannot send to a receiver");
  return send_case<T, Handler>(std::forward<Channel>(to), std::move(v), std::move(handler));
}
template <class Channel, class Handler = do_nothing>
[[nodiscard]] auto on_send(Channel&& to, const typename std::remove_cvref_t<Channel>::value_type& v,
                           Handler handler = {}) {
  using end = std::remove_cvref_t<Channel>;
  using T = typename end::value_type;
  static_assert(std::derived_from<end, sending_end<T, end>>, "one cannot send to a receiver");
  return send_case<T, Handler>(std::forward<Channel>(to), v, std::move(handler));
}

// If no channel was ready for so long, counted from the beginning of select; or at this time. The earliest of several.
// Go: case <-time.After(d).
template <class Rep, class Period, class Handler = do_nothing>
[[nodiscard]] auto on_timeout(const std::chrono::duration<Rep, Period>& period, Handler handler = {}) {
  return timeout_case<std::chrono::duration<Rep, Period>, Handler>(period, std::move(handler));
}
template <class Clock, class Duration, class Handler = do_nothing>
[[nodiscard]] auto on_timeout(const std::chrono::time_point<Clock, Duration>& when, Handler handler = {}) {
  return timeout_case<std::chrono::time_point<Clock, Duration>, Handler>(when, std::move(handler));
}

// If a stop is requested before a channel is ready. If it was requested before, nothing else runs. One at most. Go: case
// <-ctx.Done().
template <class Handler = do_nothing>
[[nodiscard]] auto on_stop(std::stop_token token, Handler handler = {}) {
  return stop_case<Handler>(std::move(token), std::move(handler));
}

// If no channel is ready at once: such a select never waits. One at most. Go: default.
template <class Handler = do_nothing>
[[nodiscard]] auto otherwise(Handler handler = {}) {
  return otherwise_case<Handler>(std::move(handler));
}

// A case of any kind, for containers. Copies are one and the same case. Allocates when it is made.
class select_case : public basic_select_case {
 public:
  template <select_case_type Case>
  requires(!std::same_as<std::remove_cvref_t<Case>, select_case>) select_case(Case&& c)
      : held_(std::make_shared<holder<std::remove_cvref_t<Case>>>(std::forward<Case>(c))) {}
  void join(select_core& all, std::size_t index) const { held_->join(all, index); }
  void run() const { held_->run(); }

 private:
  struct basic_holder {
    basic_holder() = default;
    basic_holder(const basic_holder&) = delete;
    basic_holder& operator=(const basic_holder&) = delete;
    virtual ~basic_holder() = default;
    virtual void join(select_core& all, std::size_t index) = 0;
    virtual void run() = 0;
  };
  template <class Case>
  struct holder final : basic_holder {
    template <class From>
    explicit holder(From&& from) : held(std::forward<From>(from)) {}
    void join(select_core& all, std::size_t index) override { held.join(all, index); }
    void run() override { held.run(); }
    Case held;
  };
  std::shared_ptr<basic_holder> held_;
};

// Waits until a case can go on, does what it says, calls its handler. Returns its index. Throws what the handler throws.
template <select_case_type... Cases>
std::size_t select(Cases&&... cases) {
  static_assert(
      ((!std::is_lvalue_reference_v<Cases> || std::same_as<std::remove_cvref_t<Cases>, select_case>)&&...),
      "make the case where select is called, or keep it in a select_case: by itself it refers to what it is of");
  select_core all;
  [[maybe_unused]] std::size_t index = 0;
  (cases.join(all, index++), ...);
  const std::size_t chosen = all.run();
  index = 0;
  ((index++ == chosen ? cases.run() : void()), ...);
  return chosen;
}

// The same for a range of cases: all of one kind, or select_case.
template <std::ranges::forward_range Cases>
requires select_case_type<std::ranges::range_reference_t<Cases>> std::size_t select(Cases&& cases) {
  select_core all;
  std::size_t index = 0;
  for (auto& each : cases) each.join(all, index++);
  const std::size_t chosen = all.run();
  std::ranges::next(std::ranges::begin(cases), static_cast<std::ptrdiff_t>(chosen))->run();
  return chosen;
}

}  // namespace turnkey
