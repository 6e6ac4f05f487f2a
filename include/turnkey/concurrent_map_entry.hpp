// turnkey/concurrent_map_entry.hpp -- what a slot of a concurrent_map holds. Not for direct use, except map_hash.
//
// A slot is a few 64-bit words that are read and written one by one. Small plain keys and values lie in the slot itself
// (map_flat_entry). For all others the slot is a pointer to a node (map_node_entry). A node never changes, a store puts
// another one in its place; except that a value which fits a word is overwritten in the node.
//
// Both kinds of entry offer the engine the same:
//   raw       the words of a slot              open(raw)    what a reader sees of them: a view
//   owned     an entry that is in no slot yet  make(...)    one; publish(owned) the words for a slot, which owns it then
//   view      gives key() and value()          peek(owned)  the view of it
//   is_flat, is_overwritten                    whether there is no node; whether a store may overwrite the value in its node
//   registered                                 what update() registers a key's lock under, without making a K
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace turnkey {

// The hash of a concurrent_map unless one is given: std::hash. For strings a transparent one, so that a string_view or a
// literal is looked up without making a string.
template <class K>
struct map_hash : std::hash<K> {};

template <class Char, class Allocator>
struct map_hash<std::basic_string<Char, std::char_traits<Char>, Allocator>> {
  using is_transparent = void;
  std::size_t operator()(std::basic_string_view<Char> text) const noexcept {
    return std::hash<std::basic_string_view<Char>>()(text);
  }
};

// Both are transparent: a key may be looked up by whatever they take.
template <class Hash, class Equal>
concept map_lookup_is_transparent = requires {
  typename Hash::is_transparent;
  typename Equal::is_transparent;
};

// A word that is always accessed atomically. Zeroed memory is one.
struct map_word {
  [[nodiscard]] std::uint64_t load(std::memory_order order) const noexcept { return ref().load(order); }
  void store(std::uint64_t to, std::memory_order order) noexcept { ref().store(to, order); }
  [[nodiscard]] bool replace(std::uint64_t from, std::uint64_t to, std::memory_order order) noexcept {
    return ref().compare_exchange_strong(from, to, order, std::memory_order_relaxed);
  }

  mutable std::uint64_t bits;

 private:
  // C++20 has no atomic_ref to a const object.
  [[nodiscard]] std::atomic_ref<std::uint64_t> ref() const noexcept { return std::atomic_ref(bits); }
};

// Something that was taken out of a map; a link of a retired_list.
struct map_retired {
  map_retired* next = nullptr;
};

// --- key and value in the slot ----------------------------------------------------------------------------------------

// Reading it is copying words: whether they belong together is for the engine to find out, by the bucket's version.
template <class K, class V>
class map_flat_entry {
 public:
  struct alignas(8) view {
    K key;
    V value;
  };
  static constexpr bool is_flat = true;
  static constexpr bool is_overwritten = false;
  static constexpr std::size_t words = sizeof(view) / 8;
  using raw = std::array<std::uint64_t, words>;
  using owned = raw;
  using key_type = K;
  using registered = K;

  static view open(const raw& bits) noexcept { return std::bit_cast<view>(bits); }
  static const K& key(const view& entry) noexcept { return entry.key; }
  static const V& value(const view& entry) noexcept { return entry.value; }
  template <class Q, class U>
  static owned make(std::uint64_t /*hash*/, Q&& key, U&& value) {
    const view entry{K(std::forward<Q>(key)), V(std::forward<U>(value))};
    raw bits{};
    std::memcpy(bits.data(), &entry, sizeof entry);
    return bits;
  }
  static view peek(const owned& made) noexcept { return open(made); }
  static raw publish(owned& made) noexcept { return made; }
};

// Small enough, and nothing of the user's runs when one is copied. Hash and Equal are called between two looks at the
// bucket; should they throw, or change the map, there would be no end of looking. That they are noexcept is a promise that
// they do neither.
template <class K, class V, class Hash, class Equal>
concept map_fits_a_slot =
    std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V> &&(alignof(K) <= 8) && (alignof(V) <= 8) &&
    (sizeof(K) + sizeof(V) <= 32) && (sizeof(typename map_flat_entry<K, V>::view) <= 32) &&
    std::is_nothrow_invocable_v<const Hash&, const K&>&& std::is_nothrow_invocable_v<const Equal&, const K&, const K&>;

// --- key and value in a node ------------------------------------------------------------------------------------------

// A value as a node holds it: for good, or in a word that stores overwrite.
template <class V>
class map_value {
 public:
  static constexpr bool is_overwritten = false;
  template <class U>
  // Made once, in its node, and never copied. NOLINTNEXTLINE(bugprone-forwarding-reference-overload)
  explicit map_value(U&& value) : value_(std::forward<U>(value)) {}
  [[nodiscard]] const V& get() const noexcept { return value_; }

 private:
  const V value_;
};
template <class V>
requires(std::is_trivially_copyable_v<V> && sizeof(V) <= 8) class map_value<V> {
 public:
  static constexpr bool is_overwritten = true;
  template <class U>
  // Made once, in its node, and never copied. NOLINTNEXTLINE(bugprone-forwarding-reference-overload)
  explicit map_value(U&& value) : word_{bits_of(V(std::forward<U>(value)))} {}
  // order: acquire, release -- who reads a value sees what its writer did before.
  [[nodiscard]] V get() const noexcept {
    const std::uint64_t bits = word_.load(std::memory_order_acquire);
    bytes part;
    std::memcpy(part.data(), &bits, sizeof(V));
    return std::bit_cast<V>(part);
  }
  void set(const V& value) noexcept { word_.store(bits_of(value), std::memory_order_release); }

 private:
  using bytes = std::array<std::byte, sizeof(V)>;
  static std::uint64_t bits_of(const V& value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(V));
    return bits;
  }
  map_word word_;
};

// What the engine knows of a node without its type.
struct map_node_head : map_retired {
  explicit map_node_head(std::uint64_t full_hash) noexcept : hash(static_cast<std::uint32_t>(full_hash)) {}
  const std::uint32_t hash;                  // the low bits: which bucket, in any table
  std::atomic<std::uint32_t> references{1};  // the map, and each range() that is at it
};

// One allocation for key and value.
template <class K, class V>
struct map_node : map_node_head {
  template <class Q, class U>
  map_node(std::uint64_t full_hash, Q&& a_key, U&& a_value)
      : map_node_head(full_hash), key(std::forward<Q>(a_key)), value(std::forward<U>(a_value)) {}

  template <class Q, class U>
  static map_node* make(std::uint64_t full_hash, Q&& key, U&& value) {
    return new map_node(full_hash, std::forward<Q>(key), std::forward<U>(value));
  }
  static void destroy(map_node* node) noexcept { delete node; }
  [[nodiscard]] const K& name() const noexcept { return key; }

  using registered = K;
  const K key;
  map_value<V> value;
};

// For strings: the characters stand behind the value, so that a lookup that has reached the node need not go further.
template <class Char, class V>
struct map_string_node : map_node_head {
  using text = std::basic_string_view<Char>;
  using registered = text;

  template <class U>
  map_string_node(std::uint64_t full_hash, text a_key, U&& a_value)
      : map_node_head(full_hash), value(std::forward<U>(a_value)), size(static_cast<std::uint32_t>(a_key.size())) {}

  template <class U>
  static map_string_node* make(std::uint64_t full_hash, text key, U&& value) {
    if (key.size() > std::numeric_limits<std::uint32_t>::max())
      throw std::length_error("turnkey::concurrent_map: key too long");
    void* const memory = allocate(sizeof(map_string_node) + key.size() * sizeof(Char));
    try {
      auto* const node = ::new (memory) map_string_node(full_hash, key, std::forward<U>(value));
      if (!key.empty()) std::memcpy(const_cast<std::byte*>(node->letters()), key.data(), key.size() * sizeof(Char));
      return node;
    } catch (...) {
      deallocate(memory);
      throw;
    }
  }
  static void destroy(map_string_node* node) noexcept {
    node->~map_string_node();
    deallocate(node);
  }
  [[nodiscard]] text name() const noexcept { return {reinterpret_cast<const Char*>(letters()), size}; }

  map_value<V> value;
  const std::uint32_t size;  // the last member: the characters begin right behind it, in the padding if there is any

 private:
  static_assert(alignof(Char) <= alignof(std::uint32_t));
  [[nodiscard]] const std::byte* letters() const noexcept {
    return reinterpret_cast<const std::byte*>(&size) + sizeof size;
  }
  static constexpr bool is_overaligned = alignof(V) > __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  static void* allocate(std::size_t bytes) {
    if constexpr (is_overaligned) return ::operator new(bytes, std::align_val_t(alignof(V)));
    return ::operator new(bytes);
  }
  static void deallocate(void* memory) noexcept {
    if constexpr (is_overaligned) {
      ::operator delete(memory, std::align_val_t(alignof(V)));
    } else {
      ::operator delete(memory);
    }
  }
};

// The slot is a pointer; null is a free slot.
template <class K, class Node>
class map_node_entry {
 public:
  using view = Node*;
  struct deleter {
    void operator()(Node* node) const noexcept { Node::destroy(node); }
  };
  static constexpr bool is_flat = false;
  static constexpr bool is_overwritten = decltype(Node::value)::is_overwritten;
  static constexpr std::size_t words = 1;
  using raw = std::array<std::uint64_t, 1>;
  using owned = std::unique_ptr<Node, deleter>;
  using key_type = K;
  using registered = typename Node::registered;

  static view open(const raw& bits) noexcept { return reinterpret_cast<Node*>(static_cast<std::uintptr_t>(bits[0])); }
  static decltype(auto) key(view node) noexcept { return node->name(); }
  static decltype(auto) value(view node) noexcept { return node->value.get(); }
  template <class V>
  static void overwrite(view node, const V& value) noexcept {
    node->value.set(value);
  }
  template <class Q, class U>
  static owned make(std::uint64_t hash, Q&& key, U&& value) {
    return owned(Node::make(hash, std::forward<Q>(key), std::forward<U>(value)));
  }
  static view peek(const owned& made) noexcept { return made.get(); }
  static raw publish(owned& made) noexcept { return {reinterpret_cast<std::uintptr_t>(made.release())}; }
};

// --- which of them ----------------------------------------------------------------------------------------------------

template <class K, class V, class Hash, class Equal>
struct map_entry_for {
  using type = map_node_entry<K, map_node<K, V>>;
};
template <class K, class V, class Hash, class Equal>
requires map_fits_a_slot<K, V, Hash, Equal>
struct map_entry_for<K, V, Hash, Equal> {
  using type = map_flat_entry<K, V>;
};
template <class Char, class V, class Hash, class Equal>
requires(map_lookup_is_transparent<Hash, Equal>&& std::is_invocable_v<const Hash&, std::basic_string_view<Char>>&&
             std::is_invocable_v<const Equal&, std::basic_string_view<Char>,
                                 std::basic_string_view<Char>>) struct map_entry_for<std::basic_string<Char>, V, Hash,
                                                                                     Equal> {
  using type = map_node_entry<std::basic_string<Char>, map_string_node<Char, V>>;
};

}  // namespace turnkey
