// turnkey/select_cases.hpp -- what on_recv and its siblings return. Not for direct use: see select.hpp.
//
// Each kind of case can join() a select, which tells the core what it wants and under which index, and run(), which calls
// its handler once it was chosen. The core (channel_core.hpp) knows neither values nor handlers. It keeps pointers into the
// case from join() to the end of the select; so a case is a place, and a copy of it is another one, with a node of its own.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/channel_core.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// What all cases are.
struct basic_select_case {};
template <class C>
concept select_case_type = std::derived_from<std::remove_cvref_t<C>, basic_select_case>;

// The handler of a case that was given none.
struct do_nothing {
  void operator()() const noexcept {}
};

// A channel that a case refers to. A case that is used where it was made, in select's own argument list, need not count a
// handle; a copy may outlive the one that was lent, so it does.
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

// on_recv. The value lands in the case and is handed to the handler afterwards, when no latch is held.
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

// on_send. A value to be moved stays where the caller has it until the case is chosen; a copied one, or one of a case that
// was copied or moved, is in owned_.
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
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): a T or a handler may throw
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

// on_timeout. A period begins when the select does, that is at join().
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

// on_stop. The watch is made by each select anew, in place: it cannot be moved, so copies begin without one.
template <class Handler>
class stop_case : public basic_select_case {
 public:
  stop_case(std::stop_token token, Handler handler) : token_(std::move(token)), handler_(std::move(handler)) {}
  stop_case(const stop_case& other) : token_(other.token_), handler_(other.handler_) {}
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): a handler may throw
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

// otherwise.
template <class Handler>
class otherwise_case : public basic_select_case {
 public:
  explicit otherwise_case(Handler handler) : handler_(std::move(handler)) {}
  void join(select_core& all, std::size_t index) { all.otherwise(index); }
  void run() { handler_(); }

 private:
  Handler handler_;
};

}  // namespace turnkey
