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
//   Of several that are ready, each is as likely as the others. A select happens at one moment: it waits, or runs
//     otherwise(), only if at that moment none of its channels was ready.
//   A nil channel is never ready; a closed one always is: to receive, with an empty optional; to send, with an exception.
//   A channel may be listed several times, and to send as well as to receive; a select never meets itself.
//   Handlers run after all channels are let go, on the caller. They may wait, select, throw: the value has been received
//     or sent by then. They may make a channel of this select nil (a = {}), which takes it out of the next one. What they
//     return is dropped.
//   A value is moved from only if its case is chosen.
//   No cases, or only nil ones: waits for ever, which is a deadlock if nobody else is left. No polling. No allocation.
//   Order: as of the send or receive that was chosen; see chan.hpp.
//   If the move of a value throws, select throws it, and no channel has changed; see chan.hpp.
//   Cost: with one channel ready, somewhat more than the send or receive itself; to wait, one place in a queue for each
//     channel, and leaving it. Linear in the number of cases; a sort by address besides, if none was ready.
// Misuse: a closed channel that is chosen to send to throws channel_closed("send on closed channel"); a stored case that is
// listed twice throws std::logic_error("select: one case listed twice").
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
#include <turnkey/select_cases.hpp>

namespace turnkey {

// The functions that make cases do not block and touch no channel; that is select's part. All may be called from
// goroutines and OS threads. A case refers to the channel and to the value to be moved that it was made of, so it is made
// in select's argument list. Once copied or moved, as into a container, it has them for itself. It may be used again, by
// one select at a time; a value that was moved into a channel has gone. A handler is optional, and is moved into the case.

// Receives, and calls handler(std::optional<T>), or handler(). `from`: a chan, a receiver, a timer's channel(). Go: case v,
// ok := <-c.
template <class Channel, class Handler = do_nothing>
[[nodiscard]] auto on_recv(Channel&& from, Handler handler = {}) {
  using end = std::remove_cvref_t<Channel>;
  using T = typename end::value_type;
  static_assert(std::derived_from<end, receiving_end<T, end>>, "one cannot receive from a sender");
  static_assert(std::is_invocable_v<Handler&, std::optional<T>> || std::is_invocable_v<Handler&>,
                "the handler of on_recv takes a std::optional of the channel's values, or nothing");
  return recv_case<T, Handler>(std::forward<Channel>(from), std::move(handler));
}

// Sends the value, and calls handler(). If the channel is closed, select throws channel_closed, and the handler is not
// called. A value that is not to be moved is copied at once, chosen or not. Go: case c <- v.
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

// If no channel was ready for so long, counted from the beginning of select; or at this time. The earliest of several. A
// time that has passed still looks at the channels once. Allocates nothing, starts no timer. Go: case <-time.After(d).
template <class Rep, class Period, class Handler = do_nothing>
[[nodiscard]] auto on_timeout(const std::chrono::duration<Rep, Period>& period, Handler handler = {}) {
  return timeout_case<std::chrono::duration<Rep, Period>, Handler>(period, std::move(handler));
}
template <class Clock, class Duration, class Handler = do_nothing>
[[nodiscard]] auto on_timeout(const std::chrono::time_point<Clock, Duration>& when, Handler handler = {}) {
  return timeout_case<std::chrono::time_point<Clock, Duration>, Handler>(when, std::move(handler));
}

// If a stop is requested before a channel is ready. If it was requested before, no other case runs, ready or not. One at
// most: of several the last counts. A token that can never be stopped is never ready. Go: case <-ctx.Done().
template <class Handler = do_nothing>
[[nodiscard]] auto on_stop(std::stop_token token, Handler handler = {}) {
  return stop_case<Handler>(std::move(token), std::move(handler));
}

// If no channel is ready at once: such a select never waits. One at most: of several the last counts. Go: default.
template <class Handler = do_nothing>
[[nodiscard]] auto otherwise(Handler handler = {}) {
  return otherwise_case<Handler>(std::move(handler));
}

// A case of any kind, for containers: what on_recv and its siblings return converts to it. Copies are one and the same
// case, which must not be in two selects at once. One allocation when it is made: std::bad_alloc. join() and run() are
// select's. Go: reflect.SelectCase.
class select_case : public basic_select_case {
 public:
  template <select_case_type Case>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): of a select_case it does not make another
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
    // Made once, and never copied. NOLINTNEXTLINE(bugprone-forwarding-reference-overload)
    explicit holder(From&& from) : held(std::forward<From>(from)) {}
    void join(select_core& all, std::size_t index) override { held.join(all, index); }
    void run() override { held.run(); }
    Case held;
  };
  std::shared_ptr<basic_holder> held_;
};

// Waits until a case can go on, does what it says, calls its handler. Returns its index among the arguments, from 0. Throws
// what the handler throws, channel_closed, and what the move of a value throws. Go: select.
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

// The same for a range of cases: all of one kind, or select_case. Go: reflect.Select.
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
