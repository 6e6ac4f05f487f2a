// turnkey/guarded_scope.hpp -- what guarded's lock() and wait() return: the lock, and the way to the value.
//
//   auto p = g.lock();       // holds g's lock until p goes
//   p->push_back(1);
//   *p = {};
//
// Go: mu.Lock(), defer mu.Unlock(). std: a std::unique_lock together with a pointer to what it guards.
#pragma once

#include <concepts>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace turnkey {

// Holds a guarded's lock and gives access to what is in it; T is const for reading. Moved, not copied; the one that was
// moved from or unlocked, and what a try form returns that did not get the lock, is false, and -> and * throw
// std::logic_error("turnkey::guarded: the scope does not hold the lock"). As the lock itself, it may be passed on to another
// thread of control, unless the mutex is bound to its thread as std's are; one scope is for one of them at a time.
// It must not outlive the guarded. Cost: a pointer, and a test of it at each use.
template <class Guarded, class T>
class guarded_scope {
 public:
  // Moving takes the lock over; what an assigned one held until then is given back.
  guarded_scope(guarded_scope&& other) noexcept : guarded_(std::exchange(other.guarded_, nullptr)) {}
  guarded_scope& operator=(guarded_scope&& other) noexcept {
    guarded_scope before(std::move(*this));
    guarded_ = std::exchange(other.guarded_, nullptr);
    return *this;
  }
  ~guarded_scope() { unlock(); }  // as unlock()

  // Whether it holds the lock.
  [[nodiscard]] explicit operator bool() const noexcept { return guarded_ != nullptr; }
  // Gives the lock back now; nothing if it does not hold it. Never blocks. After writing it also calls the conditions of those
  // in guarded's wait(), first come first, until one is true.
  void unlock() noexcept {
    if (guarded_ != nullptr) std::exchange(guarded_, nullptr)->unlock(static_cast<T*>(nullptr));
  }

  // The value. What these return is good until the lock is given back.
  [[nodiscard]] T* operator->() const { return &value(); }
  [[nodiscard]] T& operator*() const& { return value(); }
  // `*g.lock()`: the scope goes at the end of the line, and a reference would dangle. So this is a copy, and a const one, so
  // that nobody assigns to it by mistake.
  // NOLINTNEXTLINE(readability-const-return-type): what is said above
  [[nodiscard]] const std::remove_const_t<T> operator*() const&& {
    static_assert(std::copy_constructible<std::remove_const_t<T>>,
                  "guarded: this scope ends with the line; give it a name first (auto p = g.lock(); use(*p);)");
    return value();
  }

 private:
  friend Guarded;
  friend struct guarded_access;
  explicit guarded_scope(std::conditional_t<std::is_const_v<T>, const Guarded, Guarded>* locked) noexcept
      : guarded_(locked) {}

  T& value() const {
    if (guarded_ == nullptr) [[unlikely]]
      throw std::logic_error("turnkey::guarded: the scope does not hold the lock");
    return guarded_->value_;
  }

  std::conditional_t<std::is_const_v<T>, const Guarded, Guarded>* guarded_;
};

}  // namespace turnkey
