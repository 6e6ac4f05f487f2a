// The protocol of mutex and rw_mutex: a state word, an owner word, a queue of waiters. A mutex is an rw_mutex that nobody
// reads, and starts in another mode (see "Calm and armed").
//
// The state word
//   held            a writer has the lock. Set by whoever takes it, cleared by unlock.
//   reader * n      n readers have it. Never together with held.
//   queued          the queue is not empty            \  changed under the latch only, so exact while one has it
//   readers_queued  the queue holds at least a reader /
//   latched         somebody has the queue; see parking/latch.hpp
//   awake           a waiting writer is awake - polling, or woken and on its way - and will try for the lock. That one owns
//                   the bit: only it may clear it, by taking the lock, going back to sleep, or giving up (settle).
//   reserved        only the owner of `awake` may take the lock: no more overtaking. Only while blocking is set
//   blocking        a writer waits: new readers queue up. Set while a writer is queued or awake
//   arming, armed   see below
//
// Invariant W (no lost wakeup): whenever the lock is free and a writer is queued, awake is set. So an unlock that finds
//   awake may leave the queue alone - unless readers wait, who go before the next writer.
// Invariant R: readers are queued only while held or blocking is set. Whoever clears the last of both admits them.
// Invariant Z (frozen): while an unlock holds the latch and also the lock for writing, or the latch and also the only read
//   lock with a writer queued, no other thread changes the word: taking it needs it free, new readers need !blocking,
//   and awake and reserved are set only in a word without latched. So unlock ends with one plain store, after which it
//   does not touch the lock again: whoever takes it next may destroy it.
//
// Who goes next. An unlock with waiters frees the lock and wakes the first writer (awake); until that one comes, others
//   may overtake it, which keeps the lock busy while the woken one is on its way, and the awake one does not snatch a
//   lock that is free only for the moment between two turns of the same holder. The overtaking ends when the awake one
//   has been first in line for `turn_length`, well below 1 ms: it sets reserved, or the overtaker does, once its own
//   streak has lasted as long - because a waiter's wish is worth nothing while the waiter has no CPU to utter it.
//   All that is for locks that somebody wants all the time. Where a lock has room - it is free for 300 ns on end, or its turns
//   have 400 ns and more for each acquisition - a queue is what costs: one of its members is awake, the others wait for that one
//   to get a CPU, and CPUs idle beside a lock that is free (docs/decisions/0018-room-beside-a-lock.md). So who finds it held looks
//   for room first (goroutines), or lets others have the CPU (OS threads), a few times; and a goroutine whose turn ends there does
//   not reserve the lock, but gives way to the awake one, which mostly waits for this very worker. With
//   readers there is no overtaking: a waiting writer blocks new ones, a finished writer admits all that wait. What that
//   costs is a switch for everybody each time the lock goes round: little for goroutines, who therefore give way before they
//   write (deference), and queue up; and very much for OS threads, who therefore stay out of the queue as long as they
//   may (courtesy).
//
// Calm and armed. While a mutex is calm its holder unlocks by a restartable sequence, "if the word is what it was, store it
//   without held", without a read-modify-write: a third of the price. A flag that another thread sets between that compare
//   and that store would be lost. So (invariant P) in a calm word only two change anything: who takes a free lock, by
//   compare-and-swap, and the holder. Everybody else arms the lock first. An armer - exclusive, by a lock of its own - sets
//   `arming`, from when on no restartable sequence is begun, has the kernel restart every one that might have compared
//   before (fence_restartable), and only if `arming` has survived that, turns it into `armed`. From then on every change is
//   a read-modify-write. It is tempting to do with one bit. Don't: a waiter could take for confirmed what another has just
//   set, and a holder that compared before would wipe out both.
//   Waiters do not keep a lock armed: an unlock that wakes nobody drops `armed`, now and then - the fence costs 10 to 20 us,
//   so a lock that is contended again and again stays armed - and only when nobody has the latch, whose owner counts on it.
//   So a lock that one worker's goroutines pass on costs them no more for the thousands that are queued up for it. The
//   holder alone may take the latch of a calm lock; an armer waits until it has let go (invariant Z).
//
// Spread and armed. An rw_mutex is never calm. It is armed from the start, and when it is not, it is *spread*: no flag is
//   set, nobody waits, nobody has it for writing, and its readers count themselves in a cell of their CPU (reader_cells.hpp)
//   instead of in the word, by a restartable sequence, "if the word has no flag, add". So they share no line that is
//   written, and pay no read-modify-write. queue_ points to the cells meanwhile. How many readers there are is the sum of
//   the word's count and all cells: who was counted in the one may be discounted in the other.
//   Invariant S: while the lock is spread, nobody but an armer changes the word, so the count in it stands still.
//   Whoever wants anything else arms the lock first, as above: `arming` is a flag, so no reader counts itself in or out any
//   more - those who want to wait for the armer - and after the fence the cells stand still, too. Their sum goes into the
//   word's count, the cells back to where they came from, and then the lock is armed, with all readers in its word.
//   It is spread again by a reader, which has the lock, if the word has no flag but `armed`; under the latch, which guards
//   queue_. Arming costs 10 to 20 us, so it must not be often: see "When to spread" in lock_spread.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include <turnkey/lock_core.hpp>
#include <turnkey/wait_limit.hpp>

#include "parking/control.hpp"
#include "parking/reason.hpp"
#include "platform/rseq.hpp"
#include "sync/reader_cells.hpp"

namespace turnkey {

class lock_protocol {
 public:
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t arming = 2;
  static constexpr std::uint32_t armed = 4;
  static constexpr std::uint32_t latched = 8;
  static constexpr std::uint32_t queued = 16;
  static constexpr std::uint32_t awake = 32;
  static constexpr std::uint32_t reserved = 64;
  static constexpr std::uint32_t blocking = 128;
  static constexpr std::uint32_t readers_queued = 256;
  static constexpr std::uint32_t reader = 512;
  static constexpr std::uint32_t all_flags = reader - 1;
  static constexpr std::uint32_t most_readers = ~all_flags / reader;
  static constexpr bool has_most_readers(std::uint32_t word) noexcept { return word / reader == most_readers; }
  // Of an rw_mutex.
  static constexpr bool is_spread(std::uint32_t word) noexcept { return (word & all_flags) == 0; }

  // What a lock is made and unmade as, and what the reports call it.
  struct kind {
    std::uint32_t idle;  // the word of a free lock: 0, or armed
    parking::reason why;
    std::string_view unlock_of_unlocked;

    [[nodiscard]] constexpr bool has_readers() const noexcept { return idle != 0; }
  };
  static constexpr kind mutex_kind{0, parking::reason::mutex_lock, "sync: unlock of unlocked mutex"};
  static constexpr kind rw_mutex_kind{armed, parking::reason::rw_mutex_lock, "sync: Unlock of unlocked RWMutex"};

  // A spread rw_mutex is not: it has to be armed first.
  static constexpr bool is_free_for_writer(std::uint32_t word, const kind& kind, bool is_awake_one) noexcept {
    return (word & (held | kind.idle)) == kind.idle && word < reader && (is_awake_one || (word & reserved) == 0);
  }

  // The parts of mutex and rw_mutex that may wait or wake. `object`: the public lock, for reports and sanitizers.
  static bool try_lock(lock_core& lock, const kind& kind, std::uint32_t token) noexcept {
    if (!take(lock, kind)) return false;
    set_owner(lock, token);
    return true;
  }
  // The caller has to say whose it is now.
  static bool take(lock_core& lock, const kind& kind) noexcept {
    std::uint32_t word = state_of(lock);
    for (;;) {
      if (is_free_for_writer(word, kind, false)) {
        // order: acquire -- pairs with the releases of unlock: what the last holder did is seen.
        if (lock.state_.compare_exchange_weak(word, word | held, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
          return true;
        }
      } else if ((word & kind.idle) == kind.idle) {
        return false;
      } else {
        arm(lock, kind);
        word = state_of(lock);
      }
    }
  }
  // Of a mutex: its holder may free it by a plain store although others want it, since one of them is awake.
  static constexpr bool is_calm_and_awaited(std::uint32_t word) noexcept {
    return (word & (held | arming | armed | awake)) == (held | awake);
  }
  static bool lock_slow(lock_core& lock, const kind& kind, const wait_limit& limit, const void* object) noexcept;
  static void unlock_slow(lock_core& lock, const kind& kind) noexcept {
    if (!release_quickly(lock, kind)) release_and_wake(lock, kind);
  }
  static bool try_lock_shared(lock_core& lock) noexcept;
  static bool lock_shared_slow(lock_core& lock, const wait_limit& limit, const void* object) noexcept;
  static void unlock_shared(lock_core& lock) noexcept;
  // For a caller that has no current_token, being new or watched: these tell the lock watcher of the lock, if there is one.
  static bool lock_told(lock_core& lock, const kind& kind, const wait_limit& limit, const void* object) noexcept;
  static void lock_mutex_told(lock_core& lock, void* object) noexcept;  // lock() of a mutex, what TSan is told included
  static bool lock_shared_told(lock_core& lock, const wait_limit& limit, const void* object) noexcept;
  static constexpr wait_limit no_limit{};  // lock_told knows this one without looking at it
  // The same, after it has been tried with success; for writing, by take().
  static void tell_taken(lock_core& lock, const kind& kind, const void* object) noexcept;
  static void tell_taken_shared(lock_core& lock, const void* object) noexcept;
  // One reader more or less in a word that says no more than that it is armed and read: true.
  static bool add_reader(lock_core& lock) noexcept {
    std::uint32_t word = state_of(lock);
    // order: acquire -- pairs with the releases of unlock: what the last writer did is seen.
    return (word & (armed | held | blocking)) == armed && !has_most_readers(word) &&
           lock.state_.compare_exchange_strong(word, word + reader, std::memory_order_acquire,
                                               std::memory_order_relaxed);
  }
  static bool drop_reader(lock_core& lock) noexcept {
    std::uint32_t word = state_of(lock);
    // order: release -- pairs with the acquires of lock: the writer sees what the readers did.
    return (word & (armed | queued)) == armed && word >= reader &&
           lock.state_.compare_exchange_strong(word, word - reader, std::memory_order_release,
                                               std::memory_order_relaxed);
  }
  // One reader more (1) or less (-1), if the lock is spread: true.
  static bool count_reader(lock_core& lock, std::int32_t change) noexcept {
    return is_spread(state_of(lock)) &&
           platform::restartable_add(lock.state_, all_flags, lock.queue_, reader_cells::cpus, change);
  }
  // Makes it safe for others than the holder, or than readers, to change the word; see "Calm and armed". At once if it is.
  static void arm(lock_core& lock, const kind& kind) noexcept;
  // By a reader that has it, so it stays there: spreads it, unless somebody waits for it or it has been written lately.
  static void spread(lock_core& lock) noexcept;

  static std::atomic<std::uint32_t>& state(lock_core& lock) noexcept { return lock.state_; }
  static void set_owner(lock_core& lock, std::uint32_t token) noexcept {
    lock.owner_.store(token, std::memory_order_relaxed);
  }
  // The owner is about to unlock. Who has just taken the lock and not yet said so must not be mistaken for the last owner.
  static std::uint32_t released_owner(const lock_core& lock) noexcept {
    return lock.owner_.load(std::memory_order_relaxed) | parking::not_in_tokens;
  }
  static void note_release(lock_core& lock) noexcept {
    lock.owner_.store(released_owner(lock), std::memory_order_relaxed);
  }
  // Whether nobody has locked it so far. Says so once: from then on it has been used.
  static bool is_new(lock_core& lock) noexcept {
    std::uint32_t nobody = 0;
    return lock.owner_.load(std::memory_order_relaxed) == 0 &&
           lock.owner_.compare_exchange_strong(nobody, parking::not_in_tokens, std::memory_order_relaxed);
  }
  // Who locked it last.
  static std::uint32_t last_owner(const lock_core& lock) noexcept {
    return lock.owner_.load(std::memory_order_relaxed) & ~parking::not_in_tokens;
  }
  // For reports: who has it for writing, 0 if it was unlocked or somebody has just taken it; and whether it is held.
  static std::uint32_t owner(const lock_core& lock) noexcept {
    const std::uint32_t token = lock.owner_.load(std::memory_order_relaxed);
    return (token & parking::not_in_tokens) != 0 ? 0 : token;
  }
  static std::uint32_t state_of(const lock_core& lock) noexcept { return lock.state_.load(std::memory_order_relaxed); }

 private:
  struct contender;
  static bool take_used(lock_core& lock, const kind& kind, std::uint32_t token) noexcept;
  static void lock_mutex_told_slowly(lock_core& lock, void* object) noexcept;
  static bool lock_told_slowly(lock_core& lock, const kind& kind, const wait_limit& limit, const void* object) noexcept;
  enum class attempt : std::uint8_t { taken, refused, is_to_give_way };
  static attempt overtake(lock_core& lock, const kind& kind) noexcept;
  static bool may_overtake(lock_core& lock, const kind& kind, std::uint32_t token, bool has_room) noexcept;
  static bool finds_room(lock_core& lock) noexcept;
  static bool is_worth_insisting(const lock_core& lock) noexcept;
  static void note_insisting(const lock_core& lock, bool has_paid) noexcept;
  static void begin_turn(lock_core& lock, std::uint32_t token) noexcept;
  static attempt end_turn(lock_core& lock, std::uint32_t word) noexcept;
  static void leave_turn(lock_core& lock) noexcept;
  static bool lock_contended(lock_core& lock, const kind& kind, const wait_limit& limit, const void* object) noexcept;
  static bool release_quickly(lock_core& lock, const kind& kind) noexcept;
  static void release_and_wake(lock_core& lock, const kind& kind) noexcept;
  static bool count_reader_or_arm(lock_core& lock, std::int32_t change) noexcept;
  static void arm_calm(lock_core& lock) noexcept;
  static void arm_spread(lock_core& lock) noexcept;
  static std::uint32_t latch_armed(lock_core& lock, const kind& kind) noexcept;
  static void reserve(lock_core& lock, const kind& kind) noexcept;
  static bool enqueue_writer(lock_core& lock, parking::waiter& w, const contender& me) noexcept;
  static bool enqueue_reader(lock_core& lock, parking::waiter& w) noexcept;
  static bool sleep_as_writer(lock_core& lock, contender& me, const wait_limit& limit) noexcept;
  static bool withdraw(lock_core& lock, const kind& kind, parking::waiter& w) noexcept;
  static void settle(lock_core& lock, std::uint32_t give_up) noexcept;
  static void admit_readers(lock_core& lock) noexcept;
  static std::uint32_t queue_flags(lock_core& lock) noexcept;
  static parking::waiter* first_writer(lock_core& lock) noexcept;
};

}  // namespace turnkey
