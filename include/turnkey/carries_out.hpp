// turnkey/carries_out.hpp -- which results would carry guarded data out of its lock: what guarded's with() and read() check.
// Not for direct use; what they refuse, and with which words, is for users to read.
//
//   g.with([](std::map<int, int>& m) { return m.size(); });   // a number: fine
//   g.with([](std::map<int, int>& m) { return m.find(1); });  // does not compile: an iterator into the map
//
// Found are references, pointers, std::reference_wrapper, iterators, views (std::string_view, std::span, ...), lambdas that
// captured something, and pairs, tuples, optionals, variants, arrays and containers with one of these. Not found, since C++
// does not show it: what an object of a class of your own, a std::function or a smart pointer refers to.
// The guarded value itself is returned as a copy like any other, whatever it is; unless it is a pointer.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace turnkey {

// How a result leads to the data.
enum class way_out { none, reference, pointer, iterator, view, lambda };

// Whether R is the type of a lambda, which no trait tells: its captures may be references. Compilers say it in the name only,
// Clang by `(lambda at file:1:2)`, GCC by `scope::<lambda(int)>`.
template <class R>
constexpr bool is_lambda() noexcept {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("R = ") + 4);
  if (name.starts_with("(lambda at ")) return true;
  name = name.substr(0, name.rfind(']'));
  // The name's last part, from the bracket that its last one closes.
  int depth = 0;
  for (std::size_t at = name.size(); at-- > 0;) {
    if (name[at] == '>') ++depth;
    if (name[at] == '<' && --depth == 0) return name.ends_with('>') && name.substr(at).starts_with("<lambda");
  }
  return false;
}

template <class R, class T>
constexpr way_out find_way_out() noexcept;

// The first of several.
template <class T, class... Parts>
constexpr way_out find_way_out_of_parts() noexcept {
  way_out found = way_out::none;
  static_cast<void>(((found = find_way_out<Parts, T>(), found != way_out::none) || ...));
  return found;
}

// What R is made of, as far as that shows.
template <class R, class T>
struct parts_of {
  static constexpr way_out find() noexcept { return way_out::none; }
};
template <class R, class T>
requires(std::ranges::input_range<R> && !std::same_as<std::ranges::range_value_t<R>, R>) struct parts_of<R, T> {
  static constexpr way_out find() noexcept { return find_way_out<std::ranges::range_value_t<R>, T>(); }
};
template <class A, class B, class T>
struct parts_of<std::pair<A, B>, T> {
  static constexpr way_out find() noexcept { return find_way_out_of_parts<T, A, B>(); }
};
template <class... Parts, class T>
struct parts_of<std::tuple<Parts...>, T> {
  static constexpr way_out find() noexcept { return find_way_out_of_parts<T, Parts...>(); }
};
template <class... Parts, class T>
struct parts_of<std::variant<Parts...>, T> {
  static constexpr way_out find() noexcept { return find_way_out_of_parts<T, Parts...>(); }
};
template <class R, class T>
struct parts_of<std::optional<R>, T> {
  static constexpr way_out find() noexcept { return find_way_out<R, T>(); }
};
template <class R, class T>
struct parts_of<std::reference_wrapper<R>, T> {
  static constexpr way_out find() noexcept { return way_out::reference; }
};

// How a result of type R would carry a guarded T out.
template <class R, class T>
constexpr way_out find_way_out() noexcept {
  if constexpr (std::is_reference_v<R>) {
    return way_out::reference;
  } else if constexpr (std::is_pointer_v<R>) {
    return way_out::pointer;
  } else if constexpr (std::is_void_v<R> || std::is_same_v<std::remove_cv_t<R>, std::remove_cv_t<T>>) {
    return way_out::none;
  } else if constexpr (std::input_or_output_iterator<R>) {
    return way_out::iterator;
  } else if constexpr (std::ranges::view<R>) {
    return way_out::view;
  } else if constexpr (std::is_class_v<R> && !std::is_empty_v<R> && is_lambda<R>()) {
    return way_out::lambda;
  } else {
    return parts_of<std::remove_cv_t<R>, T>::find();
  }
}

// Does not compile if a result of type R would carry a guarded T out; the message says why.
template <class R, class T>
constexpr void check_way_out() noexcept {
  constexpr way_out found = find_way_out<R, T>();
  static_assert(found != way_out::reference,
                "guarded: a reference would carry the data out of its lock; return a copy (-> T, not -> T&)");
  static_assert(found != way_out::pointer, "guarded: a pointer would carry the data out of its lock; return a copy");
  static_assert(found != way_out::iterator,
                "guarded: an iterator would carry the data out of its lock; return what it points to");
  static_assert(found != way_out::view,
                "guarded: a view would carry the data out of its lock; return a copy (std::string, std::vector)");
  static_assert(
      found != way_out::lambda,
      "guarded: a lambda that captured something may carry the data out of its lock; return the values it needs");
}

}  // namespace turnkey
