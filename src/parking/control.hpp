// A thread of control: a goroutine, or an OS thread that uses the library. What every blocking operation parks.
//
// Records of controls are never unmapped, so a pointer or a token that outlived its control leads to a record that is
// unused or that of another control, never to foreign memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "parking/reason.hpp"
#include "platform/report.hpp"

namespace turnkey::parking {

class waiter;

// Somebody wants to know of every lock and unlock; see lock_watcher. Set before main.
extern std::atomic<bool> are_locks_watched;

class control {
 public:
  control(const control&) = delete;
  control& operator=(const control&) = delete;

  // The calling thread of control. Never inlined: a compiler may remember a thread-local's address across a park, after
  // which a goroutine may be on another OS thread.
  static control& current() noexcept;
  // The same, mostly without a call. In functions that are never inlined only, before anything in them can park.
  static control& caller() noexcept;

  // Blocks until `w` (which is in state parked or about to be) is signalled or alarmed, or `deadline` passes, in which
  // case it alarms it. Called by waiter only.
  virtual void suspend(waiter& w, std::int64_t deadline) noexcept = 0;
  // The same without a deadline, and `word = after` (release) once the control is off the CPU, or just before. Until then
  // nobody sees `w`.
  virtual void suspend_unlatching(waiter& w, std::atomic<std::uint64_t>& word, std::uint64_t after) noexcept = 0;
  // `w`, which this control parked on, has left the state parked. The control goes on. Called once per such change.
  virtual void resume() noexcept = 0;
  // Lets those have the CPU that are ready to run. False: it is known that there were none. Called by the control itself.
  virtual bool give_way() noexcept = 0;
  // Called by the control itself where it may leave the CPU: does so if its time slice is over; see current_token.
  void give_way_if_asked() noexcept;
  // How long, in nanoseconds, it pays to poll before parking.
  [[nodiscard]] virtual std::int64_t spin_time() const noexcept = 0;
  // `goroutine 7 "writer"` or `thread 4711`. Async-signal-safe.
  virtual void describe(platform::text& out) const noexcept = 0;
  [[nodiscard]] virtual bool is_thread() const noexcept = 0;

  // Names this control in 31 bits, for the owner word of locks: never 0; another control may get it only after the
  // record was reused 512 times.
  [[nodiscard]] std::uint32_t token() const noexcept { return token_; }
  // What current_token is while it runs: 0 if its locks are watched, so that locking takes the way that tells the watcher.
  [[nodiscard]] std::uint32_t quick_token() const noexcept { return quick_token_; }
  // Its locks are watched from now on, as those of all that come after it are. Called by itself.
  void lose_quick_token() noexcept { quick_token_ = 0; }
  // What it waits for, or null. For reports: may be out of date at once.
  [[nodiscard]] waiter* waiting() const noexcept { return waiting_.load(std::memory_order_acquire); }

  // What it waits for without a limit, from when it is queued until it goes on, for who looks for lock cycles; null: no
  // lock. Written by this control, and cleared by who lets it in. Whoever finds the same twice, the epoch too, knows that
  // this control has been blocked in between.
  struct lock_wait {
    const void* lock = nullptr;  // a lock_core
    reason why{};
    std::uint32_t epoch = 0;
    friend bool operator==(const lock_wait&, const lock_wait&) = default;
  };
  [[nodiscard]] lock_wait wanted() const noexcept {
    // order: seq_cst -- pairs with want(): of two who say what they want and then look, one sees the other. The epoch
    // second: a wait that has begun since shows in it.
    const std::uintptr_t word = wanted_.load(std::memory_order_seq_cst);
    const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed);
    return {reinterpret_cast<const void*>(word & ~why_mask), static_cast<reason>(word & why_mask), epoch};
  }
  void want(const void* lock, reason why) noexcept {
    epoch_.store(epoch_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    // order: seq_cst -- pairs with wanted(), and with waiter::is_let_in().
    wanted_.store(reinterpret_cast<std::uintptr_t>(lock) | static_cast<std::uintptr_t>(why), std::memory_order_seq_cst);
  }
  // order: release -- pairs with wanted(): what it did while it waited, and what was done to it, comes before.
  void want_nothing() noexcept { wanted_.store(0, std::memory_order_release); }

  // The locks that it has for reading: the first few, and how many there are. Written by this control only. One that
  // another control unlocks stays.
  void note_read(const void* lock) noexcept {
    const std::uint32_t count = read_count_.load(std::memory_order_relaxed);
    if (count < most_reads) reads_[count].store(lock, std::memory_order_relaxed);
    read_count_.store(count + 1, std::memory_order_relaxed);
  }
  // Whether the last that is noted is this one.
  [[nodiscard]] bool is_last_read(const void* lock) const noexcept {
    const std::uint32_t last = read_count_.load(std::memory_order_relaxed) - 1;
    return last < most_reads && reads_[last].load(std::memory_order_relaxed) == lock;
  }
  void forget_last_read() noexcept {
    read_count_.store(read_count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  }
  // False: it has not.
  bool forget_read(const void* lock) noexcept {
    if (!is_last_read(lock)) return forget_earlier_read(lock);
    forget_last_read();
    return true;
  }
  [[nodiscard]] bool has_read(const void* lock) const noexcept {
    const std::uint32_t count = read_count_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count && i < most_reads; ++i) {
      if (reads_[i].load(std::memory_order_relaxed) == lock) return true;
    }
    return false;
  }
  // f(lock) for those that are known.
  template <class F>
  void for_each_read(F f) const noexcept {
    const std::uint32_t count = read_count_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count && i < most_reads; ++i) f(reads_[i].load(std::memory_order_relaxed));
  }
  [[nodiscard]] bool has_reads() const noexcept { return read_count_.load(std::memory_order_relaxed) != 0; }
  // Diagnostics' own: where it is listed while it waits for a lock, and where it is noted which locks it holds.
  [[nodiscard]] std::uint32_t& place() noexcept { return place_; }
  [[nodiscard]] void*& holdings() noexcept { return holdings_; }
  // The same, while nothing is to be done for them before they can be used; else null. Others may make it null.
  [[nodiscard]] std::atomic<void*>& ready_holdings() noexcept { return ready_holdings_; }

 protected:
  constexpr control() noexcept = default;
  // Leaves the CPU until all that are ready have had it. An OS thread's time slices are the kernel's.
  virtual void end_time_slice() noexcept {}
  ~control() = default;
  // The record is another control's now.
  void set_token(std::uint32_t token) noexcept {
    token_ = token;
    quick_token_ = token;
    if (are_locks_watched.load(std::memory_order_relaxed)) {
      quick_token_ = 0;
      ready_holdings_.store(nullptr, std::memory_order_relaxed);
    }
    read_count_.store(0, std::memory_order_relaxed);
  }

 private:
  friend class waiter;
  static constexpr std::uint32_t most_reads = 3;
  static constexpr std::uintptr_t why_mask = 3;
  bool forget_earlier_read(const void* lock) noexcept;

  std::uint32_t token_ = 0;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<waiter*> waiting_{nullptr};
  std::atomic<std::uintptr_t> wanted_{0};  // a lock_core's address, and in the low bits the reason
  std::atomic<std::uint32_t> read_count_{0};
  std::uint32_t place_ = 0;
  std::uint32_t quick_token_ = 0;
  void* holdings_ = nullptr;
  std::atomic<void*> ready_holdings_{nullptr};
  std::array<std::atomic<const void*>, most_reads> reads_{};
};

// The control that runs on this OS thread, and its quick token: null and 0 until a thread of control first needs them. Set by
// the scheduler at every switch. A function may read them only before anything in it can park.
// The token may be taken away by another thread, to end a goroutine's time slice: it comes to give_way_if_asked() at its next
// lock, which looks at the token anyway, so that it costs nothing to be asked.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit control* current_control;
[[gnu::tls_model("initial-exec")]] extern thread_local constinit std::atomic<std::uint32_t> current_token_word;

inline std::uint32_t current_token() noexcept { return current_token_word.load(std::memory_order_relaxed); }
inline void set_current_token(std::uint32_t token) noexcept {
  current_token_word.store(token, std::memory_order_relaxed);
}

inline control& control::caller() noexcept {
  control* const running = current_control;
  return running != nullptr ? *running : current();
}

// The bit that tells the tokens of OS threads from those of goroutines.
constexpr std::uint32_t thread_bit = 1u << 31;
// A bit that no token has: locks use it.
constexpr std::uint32_t not_in_tokens = 1u << 30;
constexpr std::uint32_t generation_mask = 0x1ff;
constexpr bool is_thread_token(std::uint32_t token) noexcept { return (token & thread_bit) != 0; }

// The token of the calling thread of control; makes it known if it is new.
std::uint32_t make_current_token() noexcept;
inline std::uint32_t token_of_current() noexcept {
  const std::uint32_t token = current_token();
  return token != 0 ? token : make_current_token();
}

}  // namespace turnkey::parking
