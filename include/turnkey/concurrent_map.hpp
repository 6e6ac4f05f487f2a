// turnkey/concurrent_map.hpp -- a hash map for many goroutines and threads at once.
//
//   turnkey::concurrent_map<std::string, int> hits;
//   hits.update(url, [](std::optional<int>& n) { n = n.value_or(0) + 1; });
//   if (std::optional<int> n = hits.load("/index.html")) show(*n);
//   hits.range([](const std::string& page, int n) { return print(page, n), true; });
//
// Go: sync.Map, with types and with update(). std: a std::unordered_map behind a mutex, without the mutex.
//
// Guarantees
//   Every operation on a key happens at one moment between its call and its return (range() and size(): see there). What
//     was done before a write is seen by whoever reads what it wrote.
//   load() takes no lock, writes to no memory that others use, and waits for nobody, with one exception: where key and
//     value lie in the table itself (both trivially copyable, 32 bytes together, Hash noexcept) it lets a write to its
//     bucket finish, which is a few instructions. Writes to different keys rarely meet. Growth is spread over the writes that
//     come past, and stops nobody.
//   Your code - Hash, Equal, copies, destructors, f - runs while no lock is held, update()'s f under its key's lock. It may
//     use this map, block, or throw. What throws leaves the map as it was. Equal, == and copies may be called several times,
//     and for what is thrown away afterwards, if others write meanwhile; f of update() is called once.
//   A value never changes in place: load() gives a copy, a write puts another in its place. What was replaced or erased is
//     destroyed when nobody reads it any more, at some later write, by clear(), or with the map.
// Cost: load() is a hash, a look at the key's bucket, and at the entry if that does not lie there, and a copy of the value. A
// write is a compare-and-swap and a few stores besides. 16 to 35 bytes for each entry in the table; if it does not lie there,
// also one allocation of 24 bytes and key and value. The table never shrinks, except by clear().
// Misuse: a write to a key inside what the map has called to write that key, f of update() above all, throws std::logic_error
// ("turnkey::concurrent_map: what is called while a key is written, such as f in update(k, f), must not write to it").
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <turnkey/concurrent_map_engine.hpp>
#include <turnkey/concurrent_map_entry.hpp>
#include <turnkey/concurrent_map_growth.hpp>
#include <turnkey/concurrent_map_lookup.hpp>
#include <turnkey/concurrent_map_range.hpp>
#include <turnkey/concurrent_map_retire.hpp>
#include <turnkey/concurrent_map_update.hpp>
#include <turnkey/concurrent_map_write.hpp>
#include <turnkey/wait_limit.hpp>

namespace turnkey {

// All members may be called at any time from goroutines and OS threads, also by your code that the map itself has called.
// Keys: wherever a key is asked for, a K or what converts to one; if Hash and Equal are both transparent, as they are for
// std::string, whatever they take - no K is made for a lookup. Each function that writes may throw std::bad_alloc; load(),
// range() and size() only if they are the first that a thread calls, or inside another. A string of 2^32 characters or more is
// no key: std::length_error. None blocks, but update(), who writes to a key that is being updated, and as said of load().
// Only update() has timed and stoppable forms. The other writers wait for nothing but your own code for the same key (or one
// with the same 64-bit hash) to return: f of an update(), or, if writers have kept disturbing each other there, another one's
// copies and comparisons. Who must not wait for that long, writes by update_for(), which can do what each of them does.
template <class K, class V, class Hash = map_hash<K>, class Equal = std::equal_to<>>
class concurrent_map {
  static_assert(std::is_same_v<K, std::remove_cvref_t<K>> && std::is_same_v<V, std::remove_cvref_t<V>>,
                "concurrent_map<K, V>: K and V must be plain types, not references or const");
  static_assert(
      std::is_copy_constructible_v<V>,
      "concurrent_map<K, V>: load() copies V out, so V must be copyable; hold a std::shared_ptr to what is not");

 public:
  // Empty. Allocates at the first write. Nobody may use it any more when it is destroyed.
  concurrent_map() = default;
  explicit concurrent_map(Hash hash, Equal equal = Equal()) : engine_(std::move(hash), std::move(equal)) {}
  concurrent_map(const concurrent_map&) = delete;             // cannot be copied: others may be changing it
  concurrent_map& operator=(const concurrent_map&) = delete;  // cannot be copied

  // A copy of the key's value, if it has one. Go: Load.
  template <class Q = K>
  [[nodiscard]] std::optional<V> load(const Q& key) const {
    std::optional<V> result;
    engine_.read(lookup(key), [&](const V& value) { result.emplace(value); });
    return result;
  }

  // Gives the key this value, whether or not it had one. Go: Store.
  template <class Q = K, class U = V>
  void store(Q&& key, U&& value) {
    put(std::forward<Q>(key), std::forward<U>(value), [](const V*) { return action::put; });
  }

  // The key's value and true; if it has none, gives it this one: that and false. A hit writes nothing. The result is moved
  // once after that: if V's move throws, the map has changed. Go: LoadOrStore.
  template <class Q = K, class U = V>
  std::pair<V, bool> load_or_store(Q&& key, U&& value) {
    std::optional<V> present;
    std::optional<V> made;
    const auto decide = [&](const V* current) {
      remember(present, current);
      if (current != nullptr) return action::keep;
      if (!made) made.emplace(std::forward<U>(value));
      return action::put;
    };
    decltype(auto) name = lookup(key);
    engine_.write(name, decide,
                  map_maker([&](std::uint64_t hash) { return entry::make(hash, stored(std::forward<Q>(key)), *made); },
                            [&]() -> V { return *made; }));
    return {*std::move(present ? present : made), present.has_value()};
  }

  // Gives the key this value; the one that it had. Go: Swap.
  template <class Q = K, class U = V>
  std::optional<V> swap(Q&& key, U&& value) {
    std::optional<V> before;
    put(std::forward<Q>(key), std::forward<U>(value), [&](const V* current) {
      remember(before, current);
      return action::put;
    });
    return before;
  }

  // Takes the key out; the value that it had. Go: LoadAndDelete.
  template <class Q = K>
  std::optional<V> load_and_delete(const Q& key) {
    std::optional<V> before;
    const bool is_erased = erase_if(key, [&](const V& current) { return remember(before, &current), true; });
    if (!is_erased) before.reset();  // somebody else was quicker
    return before;
  }

  // Takes the key out; whether it was there. Go: Delete.
  template <class Q = K>
  bool erase(const Q& key) {
    return erase_if(key, [](const V&) { return true; });
  }

  // Gives the key this value if it has one that equals `expected`; whether it did. V needs ==. Go: CompareAndSwap.
  template <class Q = K, class U = V>
  bool compare_and_swap(Q&& key, const V& expected, U&& desired) {
    static_assert(std::equality_comparable<V>, "compare_and_swap: V must have ==");
    bool is_swapped = false;
    put(std::forward<Q>(key), std::forward<U>(desired), [&](const V* current) {
      is_swapped = current != nullptr && *current == expected;
      return is_swapped ? action::put : action::keep;
    });
    return is_swapped;
  }

  // Takes the key out if its value equals `expected`; whether it did. V needs ==. Go: CompareAndDelete.
  template <class Q = K>
  bool compare_and_delete(const Q& key, const V& expected) {
    static_assert(std::equality_comparable<V>, "compare_and_delete: V must have ==");
    return erase_if(key, [&](const V& current) { return current == expected; });
  }

  // Calls f(std::optional<V>&) once, with a copy of the key's value or with nothing, and makes what f leaves there the
  // key's value, or takes the key out. No other write to the key comes between: they wait, as long as f takes, and park.
  // Reads see the old value until f has returned. f may use the map, also update() other keys (mind the order, as with
  // any two locks); if it writes to k itself, that throws std::logic_error. If f throws, nothing has happened.
  // If clear() comes while f runs, the update counts as done before it. Its result is dropped. Cost: a mutex of the key's own,
  // which lives as long as somebody has it or waits for it, besides a write's. Go: nothing.
  template <class Q = K, class F>
  void update(Q&& key, F&& f) {
    static_cast<void>(update_within(wait_limit(), std::forward<Q>(key), std::forward<F>(f)));
  }
  // The same with an end, for the key's lock: false if others had it until `period` was over, until `when`, or until a stop is
  // requested; then f was not called, and nothing has happened. True: as update(), and f is not limited. A time that has
  // passed still tries once, a stop that was requested before does not. Go: nothing.
  template <class Rep, class Period, class Q = K, class F>
  [[nodiscard]] bool update_for(const std::chrono::duration<Rep, Period>& period, Q&& key, F&& f) {
    return update_within(wait_limit::after(period), std::forward<Q>(key), std::forward<F>(f));
  }
  template <class Clock, class Duration, class Q = K, class F>
  [[nodiscard]] bool update_until(const std::chrono::time_point<Clock, Duration>& when, Q&& key, F&& f) {
    return update_within(wait_limit::until(when), std::forward<Q>(key), std::forward<F>(f));
  }
  template <class Q = K, class F>
  [[nodiscard]] bool update(std::stop_token token, Q&& key, F&& f) {
    if (!token.stop_possible()) return update_within(wait_limit(), std::forward<Q>(key), std::forward<F>(f));
    stop_watch watch(std::move(token));
    return !watch.is_raised() && update_within(wait_limit::stopped_by(watch), std::forward<Q>(key), std::forward<F>(f));
  }

  // Calls f(const K&, const V&) -> bool for the entries, in no order, until f returns false. No snapshot: each key is met at
  // most once; one that is there all the while is met; one that is written meanwhile, also by f, may be met or not, with any
  // value that it had. Holds nothing while f runs. Go: Range.
  template <class F>
  void range(F&& f) const {
    static_assert(std::is_invocable_r_v<bool, F&, const K&, const V&>,
                  "range(f): f(const K&, const V&) must return bool; false ends the range");
    static_assert(!std::is_void_v<std::invoke_result_t<F&, const K&, const V&>>);
    if constexpr (std::is_same_v<decltype(entry::key(entry::open({}))), const K&>) {
      engine_.range([&](const auto& at) -> bool { return std::invoke(f, entry::key(at), entry::value(at)); });
    } else {
      K name;
      engine_.range([&](const auto& at) -> bool {
        name = entry::key(at);
        return std::invoke(f, std::as_const(name), entry::value(at));
      });
    }
  }

  // Takes everything out, at one moment, and destroys what nobody reads any more. Go: Clear.
  void clear() { engine_.clear(); }

  // How many entries there are: exact if nobody writes meanwhile. Adds up a few counters. Go: nothing.
  [[nodiscard]] std::size_t size() const { return engine_.size(); }

 private:
  using entry = typename map_entry_for<K, V, Hash, Equal>::type;
  using engine = map_engine<entry, Hash, Equal>;
  using action = typename engine::action;

  template <class Q>
  static constexpr bool is_looked_up_as_it_is = std::is_same_v<Q, K> ||
                                                (map_lookup_is_transparent<Hash, Equal> &&
                                                 std::is_invocable_v<const Hash&, const Q&> &&
                                                 std::is_invocable_v<const Equal&, const K&, const Q&>);

  // What the key is looked up by: itself, or a K.
  template <class Q>
  static decltype(auto) lookup(const Q& key) {
    if constexpr (is_looked_up_as_it_is<Q>) {
      return (key);
    } else {
      static_assert(std::is_convertible_v<const Q&, K>,
                    "concurrent_map: a key must convert to K, unless Hash and Equal are both transparent and take it");
      return static_cast<K>(key);
    }
  }
  // What an entry's key is made of.
  template <class Q>
  static decltype(auto) stored(Q&& key) {
    using text = typename entry::registered;
    if constexpr (std::is_same_v<text, K> || std::is_convertible_v<const Q&, text>) {
      return std::forward<Q>(key);
    } else {
      return K(std::forward<Q>(key));
    }
  }
  // What update() says its key is.
  template <class Q>
  static decltype(auto) registered(const Q& key) {
    using name = typename entry::registered;
    if constexpr (std::is_same_v<Q, name>) {
      return (key);
    } else {
      return name(key);
    }
  }

  template <class Q, class F>
  bool update_within(const wait_limit& limit, Q&& key, F&& f) {
    static_assert(std::is_invocable_v<F&&, std::optional<V>&>, "update(k, f): f must take a std::optional<V>&");
    decltype(auto) name = registered(key);
    return engine_.update(name, limit, std::forward<F>(f), [&](std::uint64_t hash, V&& value) {
      return entry::make(hash, stored(std::forward<Q>(key)), std::move(value));
    });
  }

  static void remember(std::optional<V>& before, const V* current) {
    before.reset();
    if (current != nullptr) before.emplace(*current);
  }
  template <class Q, class U, class Decide>
  void put(Q&& key, U&& value, Decide&& decide) {
    decltype(auto) name = lookup(key);
    if constexpr (entry::is_overwritten) {
      const V plain(std::forward<U>(value));
      const auto make = [&](std::uint64_t hash) { return entry::make(hash, stored(std::forward<Q>(key)), plain); };
      engine_.write(name, std::forward<Decide>(decide), map_maker(make, [&] { return plain; }));
    } else {
      const auto make = [&](std::uint64_t hash) {
        return entry::make(hash, stored(std::forward<Q>(key)), std::forward<U>(value));
      };
      engine_.write(name, std::forward<Decide>(decide), map_maker(make, nullptr));
    }
  }
  template <class Q, class Condition>
  bool erase_if(const Q& key, Condition&& condition) {
    bool is_erased = false;
    engine_.write(
        lookup(key),
        [&](const V* current) {
          is_erased = current != nullptr && condition(*current);
          return is_erased ? action::erase : action::keep;
        },
        map_maker([](std::uint64_t) -> typename entry::owned { return {}; }, []() -> V { std::terminate(); }));
    return is_erased;
  }

  engine engine_;
};

}  // namespace turnkey
