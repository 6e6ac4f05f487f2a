// select: looks at all its channels at one moment, and waits in the queues of all of them at once.
//
// Its steps. 0: glance at the words of the channels, one after the other; choose among the cases that seem ready, and try
// that one, which takes the latch of its channel only. If it can be done, that was the select: it happened under that latch.
// If not, the glance has proved nothing. 1: latch all channels, in the order of their addresses, so that two selects never wait for each other's
// latches. 2: choose among the cases that are ready, and serve it. 3: if there is none, put a node into each channel's
// queue, let go of all latches, wait. The nodes are waiters only to stand in a queue: whoever serves a case signals the
// one waiter of the select. 4: take what is left out of the queues, one channel after the other.
//
// Between 3 and 4 the select is claimed (invariant C in channel_core.hpp), by the peer that serves one of its cases or by
// itself when its limit ends; so exactly one case is served, and nodes that still hang in queues do no harm.
//
// It cannot meet itself: it looks before it queues, and while it is queued it serves nobody.
#include <array>
#include <functional>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "channel/channel_core.hpp"
#include "channel/timer.hpp"

namespace turnkey {

using parking::reason;
using parking::waiter;
using parking::wake_list;
using result = channel_case::result;

namespace {

[[gnu::tls_model("initial-exec")]] thread_local constinit std::uint64_t luck = 0;

// 0 ... sides - 1, each as likely as the others. Never inlined: see parking::control::current.
[[gnu::noinline]] std::size_t roll(std::size_t sides) noexcept {
  asm volatile("");
  std::uint64_t x = luck;
  if (x == 0) x = reinterpret_cast<std::uintptr_t>(&luck) * 0x9e3779b97f4a7c15 | 1;
  x ^= x << 13;  // xorshift64
  x ^= x >> 7;
  x ^= x << 17;
  luck = x;
  return static_cast<std::size_t>((x >> 32) * sides >> 32);
}

select_case_node* merge(select_case_node* a, select_case_node* b) noexcept {
  select_case_node* first = nullptr;
  select_case_node** end = &first;
  while (a != nullptr && b != nullptr) {
    const bool is_tie = a->channel == b->channel;
    select_case_node*& least = is_tie ? (roll(2) == 0 ? a : b) : std::less<>()(b->channel, a->channel) ? b : a;
    *end = least;
    end = &least->next;
    least = least->next;
  }
  *end = a != nullptr ? a : b;
  return first;
}

// By the address of the channel. Cases of one channel come in any order: of those that wait, the first in its queue is
// served, and that must not always be the same one.
select_case_node* sort(select_case_node* first) noexcept {
  if (first == nullptr || first->next == nullptr) return first;
  if (first->next->next == nullptr) {
    select_case_node* const second = std::exchange(first->next, nullptr);
    return merge(first, second);
  }
  std::array<select_case_node*, 40> runs{};  // the i-th is null or 2^i nodes in order
  while (first != nullptr) {
    select_case_node* run = std::exchange(first, first->next);
    run->next = nullptr;
    std::size_t i = 0;
    for (; runs[i] != nullptr; ++i) run = merge(std::exchange(runs[i], nullptr), run);
    runs[i] = run;
  }
  for (select_case_node* const run : runs) first = merge(run, first);
  return first;
}

// The latches of all channels, from here to the end of the scope. Then signals those who were served.
class all_latches {
 public:
  explicit all_latches(select_case_node* first) noexcept : first_(first) {
    for_each_channel([](channel_core& c) { channel_protocol::latch(c); });
  }
  all_latches(const all_latches&) = delete;
  all_latches& operator=(const all_latches&) = delete;
  ~all_latches() {
    for_each_channel([](channel_core& c) { channel_protocol::unlatch(c, channel_protocol::load(c)); });
    served.signal_all();
  }

  wake_list served;

 private:
  template <class F>
  void for_each_channel(F f) noexcept {
    const channel_core* last = nullptr;
    for (select_case_node* node = first_; node != nullptr; node = node->next) {
      if (node->channel != last) f(*node->channel);
      last = node->channel;
    }
  }

  select_case_node* first_;
};

}  // namespace

static_assert(sizeof(waiter) <= select_case_node::waiter_size && std::is_trivially_destructible_v<waiter>);

class select_protocol {
 public:
  explicit select_protocol(select_core& core) noexcept : core_(core), first_(core.first_ = sort(core.first_)) {}
  select_protocol(const select_protocol&) = delete;
  select_protocol& operator=(const select_protocol&) = delete;
  ~select_protocol() {
    if (has_told_timers_) for_each_timer([](channel_timer& t) { t.leave(); });
  }

  // Step 0. The case that was served, or null.
  static select_case_node* glance(select_core& core);
  std::size_t run();
  // The case that was served, or null.
  [[nodiscard]] select_case_node* served() const noexcept { return served_; }

 private:
  [[nodiscard]] bool has_others() const noexcept {
    return core_.otherwise_ != select_core::none || core_.timeout_ != select_core::none ||
           core_.stop_ != select_core::none;
  }
  [[nodiscard]] reason why() const noexcept;
  [[nodiscard]] bool must_wait() const noexcept;
  static bool must_wait(const select_case_node& node, std::uint64_t word) noexcept;
  select_case_node* choose() noexcept;
  bool serve_one(wake_list& woken);
  bool serve_or_queue(std::optional<waiter>* self);
  std::size_t wait(waiter& self) noexcept;
  void dequeue_all() noexcept;
  // Whose limit has ended.
  [[nodiscard]] std::size_t ended() const noexcept {
    return core_.watch_ != nullptr && core_.watch_->is_raised() ? core_.stop_ : core_.timeout_;
  }
  template <class F>
  bool for_each_timer(F f) noexcept {
    bool is_any = false;
    for (select_case_node* node = first_; node != nullptr; node = node->next) {
      if (!channel_protocol::is_timer(*node->channel)) continue;
      f(channel_timer::of(*node->channel));
      is_any = true;
    }
    return is_any;
  }

  select_core& core_;
  select_case_node* const first_;
  select_case_node* served_ = nullptr;
  select_state state_;
  bool has_told_timers_ = false;
};

// A single case is a send or a receive, and reports say so.
reason select_protocol::why() const noexcept {
  if (has_others() || core_.count_ > 1) return reason::select;
  if (core_.count_ == 0) return reason::select_no_cases;
  if (first_ == nullptr) return core_.is_nil_send_ ? reason::chan_send_nil : reason::chan_receive_nil;
  return first_->is_send ? reason::chan_send : reason::chan_receive;
}

bool select_protocol::must_wait(const select_case_node& node, std::uint64_t word) noexcept {
  return node.is_send ? channel_protocol::must_send_wait(*node.channel, word)
                      : channel_protocol::must_receive_wait(word);
}

// Whether one look at the only channel shows that it is not ready. With several, one look after the other would prove
// nothing.
bool select_protocol::must_wait() const noexcept {
  if (first_ == nullptr) return true;
  if (first_->next != nullptr) return false;
  return must_wait(*first_, channel_protocol::load(*first_->channel));
}

select_case_node* select_protocol::glance(select_core& core) {
  if (core.watch_ != nullptr && core.watch_->is_raised()) return nullptr;
  select_case_node* chosen = nullptr;
  std::size_t ready = 0;
  for (select_case_node* node = core.first_; node != nullptr; node = node->next) {
    const channel_core& c = *node->channel;
    if (channel_protocol::is_timer(c)) return nullptr;  // ready or not, it must be looked at
    if (must_wait(*node, channel_protocol::load(c))) continue;
    ++ready;
    if (ready == 1 || roll(ready) == 0) chosen = node;
  }
  if (chosen == nullptr) return nullptr;
  const chan_status status = chosen->is_send ? channel_core::try_send(chosen->channel, chosen->value)
                                             : channel_core::try_receive(chosen->channel, chosen->value, chosen->take);
  if (status == chan_status::would_block) return nullptr;
  chosen->outcome = status == chan_status::ok ? result::done : result::closed;
  return chosen;
}

// One of the cases that are ready, or null. With all latches.
select_case_node* select_protocol::choose() noexcept {
  select_case_node* chosen = nullptr;
  std::size_t ready = 0;
  for (select_case_node* node = first_; node != nullptr; node = node->next) {
    channel_core& c = *node->channel;
    const std::uint64_t word = channel_protocol::load(c);
    if (must_wait(*node, word) || !channel_protocol::is_ready(c, word, *node)) continue;
    ++ready;
    if (ready == 1 || roll(ready) == 0) chosen = node;
  }
  return chosen;
}

// False: no case is ready. With all latches. Each turn that serves nobody has taken a node out of a queue.
bool select_protocol::serve_one(wake_list& woken) {
  while (select_case_node* const node = choose()) {
    channel_core& c = *node->channel;
    std::uint64_t word = channel_protocol::load(c);
    const bool is_served = channel_protocol::serve(c, word, *node, woken);
    channel_protocol::keep(c, word);
    if (!is_served) continue;
    served_ = node;
    return true;
  }
  return false;
}

// Serves a case that is ready. False: there is none; and then, if there is to be a waiter, it is queued for all of them.
bool select_protocol::serve_or_queue(std::optional<waiter>* self) {
  all_latches held(first_);
  if (serve_one(held.served)) return true;
  if (self == nullptr) return false;
  // Reports look into the channel of a single case.
  const reason why = this->why();
  self->emplace(why, why == reason::select ? nullptr : first_->channel);
  for (select_case_node* node = first_; node != nullptr; node = node->next) {
    node->primary = &**self;
    node->select = &state_;
    channel_protocol::enqueue(*node->channel, *node, *::new (node->room) waiter(why, node->channel));
  }
  return false;
}

void select_protocol::dequeue_all() noexcept {
  for (select_case_node* node = first_; node != nullptr; node = node->next) {
    if (node->outcome != result::none) continue;  // whoever served it has taken it out
    channel_core& c = *node->channel;
    const std::uint64_t word = channel_protocol::latch(c);
    channel_protocol::dequeue(c, *node, *std::launder(reinterpret_cast<waiter*>(node->room)));
    channel_protocol::unlatch(c, word);
    channel_protocol::forget(*node);
  }
}

// The index of the case that was served or whose limit has ended; none: to begin again.
std::size_t select_protocol::wait(waiter& self) noexcept {
  const bool has_ended = !self.wait(core_.limit_) && state_.claim();
  if (!has_ended) self.await_signal();
  dequeue_all();
  if (has_ended) return ended();
  for (select_case_node* node = first_; node != nullptr; node = node->next) {
    if (node->outcome == result::none) continue;
    if (node->outcome != result::again) {
      served_ = node;
      return node->index;
    }
    channel_protocol::forget_attempt(*node);
    node->outcome = result::none;
  }
  state_.is_claimed.store(false, std::memory_order_relaxed);
  return select_core::none;
}

std::size_t select_protocol::run() {
  if (core_.watch_ != nullptr && core_.watch_->is_raised()) return core_.stop_;
  const bool has_timers = for_each_timer([](channel_timer& t) { t.look(); });
  const bool may_wait = core_.otherwise_ == select_core::none;
  if (!may_wait || has_timers) {
    if (!must_wait() && serve_or_queue(nullptr)) return served_->index;
    if (!may_wait) return core_.otherwise_;
    has_told_timers_ = for_each_timer([](channel_timer& t) { t.enter(); });
  }
  if (first_ == nullptr) {
    channel_protocol::wait_in_vain(why(), core_.limit_);
    return ended();
  }
  for (;;) {
    std::optional<waiter> self;
    if (serve_or_queue(&self)) return served_->index;
    if (const std::size_t index = wait(*self); index != select_core::none) return index;
  }
}

std::size_t select_core::run() {
  if (const select_case_node* const served = select_protocol::glance(*this)) {
    if (served->outcome == result::closed && served->is_send) channel_core::throw_send_on_closed();
    return served->index;
  }
  std::size_t index = none;
  select_case_node* served = nullptr;
  {
    select_protocol protocol(*this);
    index = protocol.run();
    served = protocol.served();
  }
  if (served == nullptr) return index;
  if (channel_protocol::finish(*served) == chan_status::closed) {
    if (served->is_send) channel_core::throw_send_on_closed();
  } else if (channel_protocol::is_timer(*served->channel)) {
    channel_timer::of(*served->channel).note_received();
  }
  return index;
}

}  // namespace turnkey
