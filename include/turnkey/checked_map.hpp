// turnkey/checked_map.hpp -- a map that says so when two use it at once, instead of breaking silently.
//
//   turnkey::checked_map<std::string, int> hits;    // belongs to one, or stands behind a mutex
//   ++hits["index"];
//   for (const auto& [page, count] : hits) print(page, count);
//
// Go: the built-in map. std: a std::unordered_map with a watchman. Any map with unique keys that has std's functions can be
// inside: checked_map<K, V, absl::flat_hash_map<K, V>>, boost::unordered_flat_map, std::map.
//
// It does not make concurrent use right; a mutex around it, guarded<checked_map<...>> or concurrent_map does. Used under a
// lock it is never reported.
//
// Misuse ends the program, in every build, as in Go, and names both sides:
//   fatal error: concurrent map writes                      two write at once
//   fatal error: concurrent map read and map write          one reads while one writes
//   fatal error: concurrent map iteration and map write     one writes between two steps of another's iteration
//   fatal error: map changed during iteration               the same, by the iterating one itself
//   fatal error: iterator at the end of a map was used
// As Go's it is a watchman and no proof: two that meet just between its looks are not seen. ThreadSanitizer sees them.
//
// Stricter than most maps: an iterator, also one from find(), is good until an element comes or goes, whichever that is and
// whoever did it; then using it is fatal, never undefined (but for one kept over exactly 536,870,912 changes, or a multiple of that,
// which is taken for a new one). Going on after erasing is `it = m.erase(it)`, or erase_if().
// Changing the value of an element that is there, by m[k] = v as well, disturbs no iterator.
// References to values are the map's own, for better or worse: nobody watches them.
//
// Cost: two instructions a look-up, one comparison a step of an iteration, four to seven instructions a write, beside what Map
// takes; 24 bytes. It allocates and blocks as Map does. See map_guard.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <turnkey/map_guard.hpp>

namespace turnkey {

// All of it is in line, so that Map's functions are called, or are not, as if nobody stood in between.
//
// Reads and writes as std's containers: const members read, the others write, except find, at, begin and end, which read.
// Any number may read at once, from goroutines and OS threads; who writes must be alone. Each function does and throws what its
// namesake of Map does and throws. Keys are given as a K: there is no look-up by what merely compares with one. Go: the index
// expression, delete, len, range.
template <class K, class V, class Map = std::unordered_map<K, V>>
class checked_map {
  template <class Base>
  class basic_iterator;

 public:
  using key_type = K;
  using mapped_type = V;
  using map_type = Map;
  using value_type = typename Map::value_type;
  using size_type = typename Map::size_type;
  using iterator = basic_iterator<typename Map::iterator>;
  using const_iterator = basic_iterator<typename Map::const_iterator>;

  // Holds nothing, a given map, the elements of a list, or of a range.
  checked_map() = default;
  explicit checked_map(Map map) : map_(std::move(map)) {}
  checked_map(std::initializer_list<value_type> elements) : map_(elements) {}
  template <std::input_iterator It>
  checked_map(It first, It last) : map_(first, last) {}
  // A copy reads the other one, a move writes to it and leaves it empty. Assigning writes to this one, and so disturbs its
  // iterators.
  checked_map(const checked_map& other) : map_((other.guard_.read(), other.map_)) {}
  checked_map(checked_map&& other) noexcept(std::is_nothrow_move_constructible_v<Map>) : map_(other.give_away()) {}
  checked_map& operator=(const checked_map& other) {
    other.guard_.read();
    map_guard::write once(guard_);
    once.change();
    map_ = other.map_;
    return *this;
  }
  checked_map& operator=(checked_map&& other) noexcept(std::is_nothrow_move_assignable_v<Map>) {
    if (this == &other) return *this;
    map_guard::write once(guard_);
    once.change();
    map_ = other.give_away();
    return *this;
  }
  ~checked_map() = default;

  // Not checked, as Go's len: may be out of date at once if another writes.
  [[nodiscard]] size_type size() const noexcept { return map_.size(); }
  [[nodiscard]] bool empty() const noexcept { return map_.empty(); }

  // Look-ups; end() or false if it is not there. Go: m[k], v, ok := m[k].
  [[nodiscard, gnu::always_inline]] bool contains(const K& key) const {
    guard_.read();
    return map_.contains(key);
  }
  [[nodiscard, gnu::always_inline]] size_type count(const K& key) const { return contains(key) ? 1 : 0; }
  // Throws std::out_of_range if it is not there.
  [[nodiscard, gnu::always_inline]] V& at(const K& key) {
    guard_.read();
    return map_.at(key);
  }
  [[nodiscard, gnu::always_inline]] const V& at(const K& key) const {
    guard_.read();
    return map_.at(key);
  }
  [[nodiscard, gnu::always_inline]] iterator find(const K& key) {
    const map_guard::changes seen = guard_.read();
    return iterator(map_.find(key), guard_, seen);
  }
  [[nodiscard, gnu::always_inline]] const_iterator find(const K& key) const {
    const map_guard::changes seen = guard_.read();
    return const_iterator(map_.find(key), guard_, seen);
  }

  // A write, even if the key is there: this is how values are assigned. The assignment to what it returns comes afterwards and is
  // not watched, as in Go. Go: m[k] = v.
  [[gnu::always_inline]] V& operator[](const K& key) { return at_or_new(key); }
  [[gnu::always_inline]] V& operator[](K&& key) { return at_or_new(std::move(key)); }
  // Writes, whether they add an element or not; the iterator to the key's element, and whether it is new.
  template <class... Args>
  [[gnu::always_inline]] std::pair<iterator, bool> try_emplace(const K& key, Args&&... args) {
    map_guard::write once(guard_);
    return added(once, map_.try_emplace(key, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[gnu::always_inline]] std::pair<iterator, bool> try_emplace(K&& key, Args&&... args) {
    map_guard::write once(guard_);
    return added(once, map_.try_emplace(std::move(key), std::forward<Args>(args)...));
  }
  template <class U = V>
  [[gnu::always_inline]] std::pair<iterator, bool> insert_or_assign(const K& key, U&& value) {
    map_guard::write once(guard_);
    return added(once, map_.insert_or_assign(key, std::forward<U>(value)));
  }
  template <class U = V>
  [[gnu::always_inline]] std::pair<iterator, bool> insert_or_assign(K&& key, U&& value) {
    map_guard::write once(guard_);
    return added(once, map_.insert_or_assign(std::move(key), std::forward<U>(value)));
  }
  [[gnu::always_inline]] std::pair<iterator, bool> insert(const value_type& element) {
    map_guard::write once(guard_);
    return added(once, map_.insert(element));
  }
  [[gnu::always_inline]] std::pair<iterator, bool> insert(value_type&& element) {
    map_guard::write once(guard_);
    return added(once, map_.insert(std::move(element)));
  }
  template <class... Args>
  [[gnu::always_inline]] std::pair<iterator, bool> emplace(Args&&... args) {
    map_guard::write once(guard_);
    return added(once, map_.emplace(std::forward<Args>(args)...));
  }

  // How many were erased: 1 or 0. Go: delete.
  [[gnu::always_inline]] size_type erase(const K& key) {
    map_guard::write once(guard_);
    const size_type erased = map_.erase(key);
    once.end(erased);
    return erased;
  }
  // The iterator to the element after it: how to go on while iterating.
  [[gnu::always_inline]] iterator erase(const iterator& where) {
    guard_.step(where.seen_);
    auto next = std::next(where.base_);
    {
      map_guard::write once(guard_);
      map_.erase(where.base_);
      once.change();
    }
    return iterator(std::move(next), guard_, guard_.begin());
  }
  // Go: clear.
  void clear() {
    map_guard::write once(guard_);
    once.change();
    map_.clear();
  }
  // Makes room, if Map can. Disturbs iterators.
  void reserve(size_type count) {
    map_guard::write once(guard_);
    once.change();
    map_.reserve(count);
  }
  // Writes to both, and disturbs the iterators of both.
  void swap(checked_map& other) {
    if (this == &other) return;
    map_guard::write once(guard_);
    map_guard::write other_once(other.guard_);
    once.change();
    other_once.change();
    map_.swap(other.map_);
  }
  friend void swap(checked_map& a, checked_map& b) { a.swap(b); }

  // In the order of Map; Go's is random. begin() reads, and has the next change recorded, so that a report can name who made
  // it. end() is not checked. Go: range.
  [[nodiscard, gnu::always_inline]] iterator begin() {
    const map_guard::changes seen = guard_.begin();
    return iterator(map_.begin(), guard_, seen);
  }
  [[nodiscard, gnu::always_inline]] const_iterator begin() const {
    const map_guard::changes seen = guard_.begin();
    return const_iterator(map_.begin(), guard_, seen);
  }
  [[nodiscard]] const_iterator cbegin() const { return begin(); }
  [[nodiscard]] iterator end() { return iterator(map_.end(), guard_, map_guard::at_end); }
  [[nodiscard]] const_iterator end() const { return const_iterator(map_.end(), guard_, map_guard::at_end); }
  [[nodiscard]] const_iterator cend() const { return end(); }

 private:
  template <class Key>
  [[gnu::always_inline]] V& at_or_new(Key&& key) {
    map_guard::write once(guard_);
    auto [where, is_new] = map_.try_emplace(std::forward<Key>(key));  // if const, GCC asks is_new on each way
    if (!is_new) return *once.end_with(&where->second);
    once.end(1);
    return where->second;
  }
  [[gnu::always_inline]] std::pair<iterator, bool> added(map_guard::write& once,
                                                         std::pair<typename Map::iterator, bool>&& result) {
    const map_guard::changes seen = result.second ? once.end(1) : once.end();
    return {iterator(std::move(result.first), guard_, seen), result.second};
  }
  Map give_away() noexcept(std::is_nothrow_move_constructible_v<Map>) {
    map_guard::write once(guard_);
    once.change();
    Map given = std::move(map_);
    map_.clear();
    return given;
  }

  map_guard guard_;  // first, so that its address takes no instruction
  Map map_;
};

// Forward only. Fatal to use (other than to compare, assign and destroy) once an element has come or gone, and at the end. A
// default-constructed one must be assigned to first. One iterator is for one thread of control at a time.
template <class K, class V, class Map>
template <class Base>
class checked_map<K, V, Map>::basic_iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = typename std::iterator_traits<Base>::value_type;
  using difference_type = typename std::iterator_traits<Base>::difference_type;
  using reference = typename std::iterator_traits<Base>::reference;
  using pointer = typename std::iterator_traits<Base>::pointer;

  basic_iterator() = default;
  // An iterator becomes a const_iterator.
  template <class Other>
  requires(!std::same_as<Other, Base> && std::convertible_to<const Other&, Base>)
      basic_iterator(const basic_iterator<Other>& other)
      : base_(other.base_), guard_(other.guard_), seen_(other.seen_) {}

  reference operator*() const {
    guard_->look(seen_);
    return *base_;
  }
  auto operator->() const {
    guard_->look(seen_);
    return base_.operator->();
  }
  basic_iterator& operator++() {
    guard_->step(seen_);
    ++base_;
    return *this;
  }
  basic_iterator operator++(int) {
    basic_iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const basic_iterator& a, const basic_iterator& b) { return a.base_ == b.base_; }

 private:
  friend class checked_map;
  template <class Other>
  friend class basic_iterator;
  basic_iterator(Base base, const map_guard& guard, map_guard::changes seen)
      : base_(std::move(base)), guard_(&guard), seen_(seen) {}

  Base base_{};
  const map_guard* guard_ = nullptr;
  map_guard::changes seen_ = map_guard::at_end;
};

// Erases the elements for which pred(element) is true, and says how many those were. A write for each of them, reads between.
// If pred throws, those before are gone. Go: maps.DeleteFunc. std: std::erase_if.
template <class K, class V, class Map, class Predicate>
typename Map::size_type erase_if(checked_map<K, V, Map>& map, Predicate pred) {
  typename Map::size_type erased = 0;
  for (auto it = map.begin(); it != map.end();) {
    if (pred(*it)) {
      it = map.erase(it);
      ++erased;
    } else {
      ++it;
    }
  }
  return erased;
}

}  // namespace turnkey
