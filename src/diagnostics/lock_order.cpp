// "lock order inversion": one takes B while it holds A, another takes A while it holds B. They have not met this time.
//
// A lock is known by its class: all locks of one name (diagnostics::name) are one class, any other lock is a class of its
// own, as long as it lives - its memory may be another lock's later, which shows when that is locked for the first time.
//
// An order is "B was taken while A was held": who did it, how both were taken, which locks were held for writing besides
// (the gates), and the stack. Orders that differ in any of that but the stack are kept apart; of who, it is enough to know
// whether it was always the same one.
//
// Several orders A->B, B->C, ... Z->A can deadlock if for each two of them
//   - different threads of control can be in them,
//   - no gate is common to them: it would keep one out while the other is in, and
//   - where one holds a lock that the other wants, not both are readers.
// An order is looked up in a table, under one lock, and compared with others only when it is new or is seen done by another
// for the first time. What a thread of control has done before, with the same locks held, says nothing new and is not even
// looked up: familiar_orders has its fingerprint. Locks that are taken while none is held, or by try_lock, make no order.
#include "diagnostics/lock_order.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "diagnostics/names.hpp"
#include "diagnostics/waits.hpp"
#include "platform/raw_lock.hpp"
#include "platform/report.hpp"
#include "platform/stack_trace.hpp"

namespace turnkey::diagnostics {

namespace {

using parking::control;
using parking::reason;
using lock_class = std::uint64_t;  // 0: none

constexpr std::uint32_t most_gates = 8;  // one that is held besides more than so many is given the benefit of the doubt
constexpr std::uint32_t most_outer = 32;  // of the locks that are held, so many of those taken last
constexpr std::uint32_t most_orders = 1u << 16;
constexpr std::uint32_t most_locks = 1u << 17;
constexpr std::uint32_t longest_cycle = 8;
constexpr std::uint32_t most_tries = 10'000;

struct order {
  lock_class outer = 0, inner = 0;
  bool is_outer_shared = false, is_inner_shared = false;
  bool is_of_several = false;  // threads of control
  bool is_reported = false;
  bool has_more_gates = false;
  std::uint32_t token = 0;  // of the first
  std::uint32_t gate_count = 0;
  std::array<lock_class, most_gates> gates{};  // the least first
  std::uint32_t next_of_outer = 0;             // one of the orders with the same outer class; 0: none
  const void* outer_lock = nullptr;            // the first ones of their classes
  const void* inner_lock = nullptr;
  std::array<char, 64> who{};  // described, since it may have ended
  platform::short_stack stack;
};

struct known_lock {
  const void* lock = nullptr;
  lock_class its_class = 0;
};

// All of it under `table`.
constinit platform::raw_lock table;
constinit std::array<known_lock, most_locks> locks{};                          // by address
constinit std::array<order, most_orders> orders{};                             // from 1
constinit std::array<std::uint32_t, std::size_t{most_orders} * 2> index_of{};  // of orders, by what they are
constinit std::array<std::uint32_t, most_orders> first_of_outer{};  // by the outer class; several may share a place
constinit std::uint32_t order_count = 1;
constinit std::uint32_t lock_count = 0;
constinit lock_class last_class = 0;
constinit bool has_complained = false;

void complain() noexcept {
  if (has_complained) return;
  has_complained = true;
  platform::warn("TURNKEY_LOCK_ORDER: too many locks or orders of locks; from now on new ones are not watched");
}

known_lock* find_lock(const void* lock) noexcept {
  for (std::uint64_t h = mix(reinterpret_cast<std::uintptr_t>(lock)) >> 16;; ++h) {
    known_lock& each = locks[h % most_locks];
    if (each.lock == lock || each.lock == nullptr) return &each;
  }
}

// The class of a lock without a name, new if need be. 0: no room.
lock_class class_of(const void* lock) noexcept {
  if (const std::string_view name = name_of(lock); !name.empty()) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash | std::uint64_t{1} << 63;
  }
  known_lock* const known = find_lock(lock);
  if (known->lock == nullptr) {
    if (lock_count >= most_locks / 4 * 3) return 0;
    ++lock_count;
    known->lock = lock;
  }
  if (known->its_class == 0) known->its_class = ++last_class;
  return known->its_class;
}

bool is_shared(reason how) noexcept { return how == reason::rw_mutex_lock_shared; }

bool is_same(const order& a, const order& b) noexcept {
  return a.outer == b.outer && a.inner == b.inner && a.is_outer_shared == b.is_outer_shared &&
         a.is_inner_shared == b.is_inner_shared && a.has_more_gates == b.has_more_gates && a.gates == b.gates;
}

std::uint32_t& place_of(const order& o) noexcept {
  std::uint64_t h = mix(o.outer) ^ mix(o.inner + 1);
  for (const lock_class gate : o.gates) h = mix(h + gate);
  for (h = mix(h + (o.is_outer_shared ? 1 : 0) + (o.is_inner_shared ? 2 : 0)) >> 8;; ++h) {
    std::uint32_t& place = index_of[h % index_of.size()];
    if (place == 0 || is_same(orders[place], o)) return place;
  }
}

// ---- What can deadlock ----------------------------------------------------------------------------------------------

bool can_be_at_once(const order& a, const order& b) noexcept {
  if (a.token == b.token && !a.is_of_several && !b.is_of_several) return false;
  if (a.has_more_gates || b.has_more_gates) return false;
  for (std::uint32_t i = 0; i < a.gate_count; ++i) {
    for (std::uint32_t j = 0; j < b.gate_count; ++j) {
      if (a.gates[i] == b.gates[j]) return false;
    }
  }
  return true;
}

struct chain {
  std::array<std::uint32_t, longest_cycle> members{};
  std::uint32_t length = 0;
  std::uint32_t tries = 0;
};

// Whether the chain, whose last member wants what `next` holds, goes on with `next`.
bool fits(const chain& so_far, const order& next) noexcept {
  if (orders[so_far.members[so_far.length - 1]].is_inner_shared && next.is_outer_shared) return false;
  for (std::uint32_t i = 0; i < so_far.length; ++i) {
    const order& each = orders[so_far.members[i]];
    if (each.outer == next.outer || !can_be_at_once(each, next)) return false;
  }
  return true;
}

// Makes the chain, which has a first member, a cycle.
bool close(chain& so_far) noexcept {
  const order& first = orders[so_far.members[0]];
  const order& last = orders[so_far.members[so_far.length - 1]];
  if (last.inner == first.outer && so_far.length > 1) return !(last.is_inner_shared && first.is_outer_shared);
  if (so_far.length == longest_cycle) return false;
  for (std::uint32_t i = first_of_outer[mix(last.inner) % most_orders]; i != 0; i = orders[i].next_of_outer) {
    if (++so_far.tries > most_tries) return false;
    const order& next = orders[i];
    if (next.outer != last.inner || next.is_reported || !fits(so_far, next)) continue;
    so_far.members[so_far.length++] = i;
    if (close(so_far)) return true;
    --so_far.length;
  }
  return false;
}

void write_lock(platform::text& out, const void* lock, bool is_shared) noexcept {
  write_object_name(out << "lock ", lock);
  if (is_shared) out << " (to read)";
}

void report(const chain& cycle) noexcept {
  static constinit char buffer[std::size_t{64} << 10] = {};
  platform::text out(buffer, sizeof buffer);
  out << "lock order inversion\n";
  for (std::uint32_t i = 0; i < cycle.length; ++i) {
    const order& o = orders[cycle.members[i]];
    out << o.who.data() << (i == 0 ? " takes " : " took ");
    write_lock(out, o.inner_lock, o.is_inner_shared);
    out << (i == 0 ? " and holds " : " and held ");
    write_lock(out, o.outer_lock, o.is_outer_shared);
    out << '\n';
  }
  for (std::uint32_t i = 0; i < cycle.length; ++i) {
    order& o = orders[cycle.members[i]];
    o.is_reported = true;
    out << '\n' << o.who.data() << (i == 0 ? ", now:\n" : ", earlier:\n");
    out.stack_at(o.stack);
  }
  platform::write_error((out << '\n').view());
}

// ---- Orders ---------------------------------------------------------------------------------------------------------

void note(const control& who, order& seen) noexcept {
  std::uint32_t& place = place_of(seen);
  if (place == 0) {
    if (order_count == most_orders) {
      complain();
      return;
    }
    platform::text described(seen.who.data(), seen.who.size() - 1);
    who.describe(described);
    platform::take_own_frames(seen.stack);
    seen.token = who.token();
    place = order_count++;
    std::uint32_t& first = first_of_outer[mix(seen.outer) % most_orders];
    seen.next_of_outer = first;
    first = place;
    orders[place] = seen;
  } else {
    order& known = orders[place];
    if (known.token == who.token() || known.is_of_several) return;
    known.is_of_several = true;
  }
  if (orders[place].is_reported) return;
  chain cycle;
  cycle.members[cycle.length++] = place;
  if (close(cycle)) report(cycle);
}

}  // namespace

constinit std::array<std::atomic<std::uint64_t>, 1 << 13> familiar_orders::known{};
constinit std::atomic<std::uint64_t> familiar_orders::era{1};

void forget_lock(const void* lock) noexcept {
  table.lock();
  if (known_lock* const known = find_lock(lock); known->lock == lock && known->its_class != 0) {
    known->its_class = 0;
    familiar_orders::forget();
  }
  table.unlock();
}

void check_lock_order(const control& who, const holdings::end& its, taking what, std::uint64_t fingerprint) noexcept {
  if (is_order_familiar(its, fingerprint)) return;
  const std::uint64_t key = familiar_orders::key(fingerprint);
  const holdings& mine = its.list();
  const platform::tsan_ignore ignore;
  const void* const lock = what.lock();
  const std::uint32_t count = mine.count();
  bool has_gaps = false;  // made by others meanwhile: the fingerprint is of another list
  table.lock();
  const lock_class inner = class_of(lock);
  for (std::uint32_t i = count > most_outer ? count - most_outer : 0; i < count; ++i) {
    static constinit order seen;  // too large for a goroutine's stack
    const taking held = mine.at(i).what.load(std::memory_order_relaxed);
    const void* const outer_lock = held.lock();
    has_gaps |= outer_lock == nullptr;
    if (outer_lock == nullptr || outer_lock == lock) continue;
    const lock_class outer = class_of(outer_lock);
    if (outer == 0 || inner == 0) {
      complain();
      break;
    }
    if (outer == inner) continue;  // of one class: which comes first is theirs to know
    seen = order{};
    seen.outer = outer;
    seen.inner = inner;
    seen.is_outer_shared = is_shared(held.how());
    seen.is_inner_shared = is_shared(what.how());
    seen.outer_lock = outer_lock;
    seen.inner_lock = lock;
    for (std::uint32_t j = 0; j < count; ++j) {
      const taking other = mine.at(j).what.load(std::memory_order_relaxed);
      const void* const gate = other.lock();
      has_gaps |= gate == nullptr;
      if (j == i || gate == nullptr || gate == lock || is_shared(other.how())) continue;
      if (seen.gate_count == most_gates) {
        seen.has_more_gates = true;
        break;
      }
      if (const lock_class its_class = class_of(gate); its_class != 0) seen.gates[seen.gate_count++] = its_class;
    }
    std::sort(seen.gates.begin(), seen.gates.begin() + seen.gate_count);
    note(who, seen);
  }
  table.unlock();
  if (!has_gaps) familiar_orders::add(key);
}

}  // namespace turnkey::diagnostics
