// turnkey/snapshot.hpp -- data that many read and few replace: a configuration, a routing table.
//
//   turnkey::snapshot<routes> table(read_routes());
//   auto now = table.load();                        // this version, for as long as `now` lives
//   send(now->find(address));
//   table.update([](routes& copy) { copy.add(line); });
//
// Go: an atomic.Pointer to what is never changed. std: a std::atomic<std::shared_ptr<const T>> whose readers share no line.
//
// Guarantees
//   load() never blocks, whatever writers and other readers do, and writes no memory that other threads read, except for
//     the first time that a thread meets a version. Writers never wait for readers.
//   A version lives until it has been replaced and the last pointer to it is gone: across waits, moved to other goroutines
//     and threads, and longer than the snapshot. It keeps no other version alive. Whoever lets go of it last destroys it.
//   Order: what was done before a store() or update() is seen by who loads that version; what was done with a version's
//     pointers is seen by its destructor. Readers are not ordered among each other.
//   Writers take turns. Each costs an allocation, and 10 to 20 us if the version that it replaces was read.
//   At most 262,143 versions at once in a process; one more throws std::bad_alloc.
// An exception leaves the version that was there.
// Misuse: writing to a snapshot inside its own update() waits for ever, as for any mutex that one holds. What const does not
// forbid - `mutable` members, what pointers in T point to - is as unsynchronised as ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>  // std::unique_lock
#include <stop_token>
#include <type_traits>
#include <utility>

#include <turnkey/mutex.hpp>
#include <turnkey/snapshot_core.hpp>

// GCC warns about Clang's thread-safety attributes, which it does not know.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"

namespace turnkey {

template <class T>
class snapshot;

// A pointer to one version of a snapshot, which stays as it is. One word. A copy keeps the version as well; a default
// constructed or moved-from one keeps nothing, and is null. As any pointer, one object is for one thread of control at a
// time; different ones to one version are independent. Copies and destructors cost a few instructions, and never block; the
// last one to a replaced version runs T's destructor. Go: the *T that atomic.Pointer's Load returns, and the garbage collector.
template <class T>
class snapshot_ptr {
 public:
  constexpr snapshot_ptr() noexcept = default;
  snapshot_ptr(const snapshot_ptr& other) noexcept : version_(other.version_) {
    if (version_ != nullptr) snapshot_core::retain(version_);
  }
  snapshot_ptr(snapshot_ptr&& other) noexcept : version_(std::exchange(other.version_, nullptr)) {}
  snapshot_ptr& operator=(const snapshot_ptr& other) noexcept {
    snapshot_ptr(other).swap(*this);
    return *this;
  }
  snapshot_ptr& operator=(snapshot_ptr&& other) noexcept {
    snapshot_ptr(std::move(other)).swap(*this);
    return *this;
  }
  ~snapshot_ptr() {
    if (version_ != nullptr) snapshot_core::release(version_);
  }

  // As of a plain pointer: * and -> of null are undefined.
  [[nodiscard]] const T& operator*() const noexcept { return version_->value; }
  [[nodiscard]] const T* operator->() const noexcept { return &version_->value; }
  [[nodiscard]] const T* get() const noexcept { return version_ != nullptr ? &version_->value : nullptr; }
  [[nodiscard]] explicit operator bool() const noexcept { return version_ != nullptr; }
  void reset() noexcept { snapshot_ptr().swap(*this); }
  void swap(snapshot_ptr& other) noexcept { std::swap(version_, other.version_); }
  friend void swap(snapshot_ptr& a, snapshot_ptr& b) noexcept { a.swap(b); }
  // Whether both are to the same version.
  friend bool operator==(const snapshot_ptr& a, const snapshot_ptr& b) noexcept { return a.version_ == b.version_; }
  friend bool operator==(const snapshot_ptr& a, std::nullptr_t) noexcept { return a.version_ == nullptr; }

 private:
  friend class snapshot<T>;
  struct version final : snapshot_version {
    template <class... Args>
    explicit version(Args&&... args) : snapshot_version(destroy), value(std::forward<Args>(args)...) {}
    static void destroy(snapshot_version* self) noexcept { delete static_cast<version*>(self); }
    T value;
  };
  explicit snapshot_ptr(snapshot_version* acquired) noexcept : version_(static_cast<version*>(acquired)) {}

  version* version_ = nullptr;
};

// All members may be called from goroutines and OS threads, at any time, concurrently.
template <class T>
class snapshot {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>);

 public:
  using value_type = T;

  // The first version: T(), or `first`, or T(args...). Throws what that throws, and std::bad_alloc. There is always a version:
  // load() is never null.
  snapshot() : snapshot(std::in_place) {}
  explicit snapshot(T first) : snapshot(std::in_place, std::move(first)) {}
  template <class... Args>
  explicit snapshot(std::in_place_t, Args&&... args) {
    static_cast<void>(publish(std::make_unique<version>(std::forward<Args>(args)...)));
  }
  snapshot(const snapshot&) = delete;             // cannot be copied: nobody would update the copy
  snapshot& operator=(const snapshot&) = delete;  // cannot be copied: store(*other.load()) copies a version

  // The current version. Never blocks. Cost: a few plain instructions, as above. Go: Load.
  [[nodiscard]] snapshot_ptr<T> load() const noexcept { return snapshot_ptr<T>(core_.acquire()); }

  // Replaces the current version. Waits for other writers. Throws what moving T throws, and std::bad_alloc. Go: Store.
  void store(T value) { write(std::unique_lock(writers_), holding(value)); }
  // The same with an end, for the wait: false if it was still another writer's turn after `period`, at `when`, or when a stop
  // is requested. Then nothing has changed, and `value` has not been moved from; one that is not to be moved is copied first.
  // A time that has passed still tries once, a stop that was requested before does not.
  template <class Rep, class Period>
  [[nodiscard]] bool store_for(const std::chrono::duration<Rep, Period>& period, T&& value) {
    return write(std::unique_lock(writers_, period), holding(value));
  }
  template <class Rep, class Period>
  [[nodiscard]] bool store_for(const std::chrono::duration<Rep, Period>& period,
                               const T& value) requires std::is_copy_constructible_v<T> {
    return store_for(period, T(value));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool store_until(const std::chrono::time_point<Clock, Duration>& when, T&& value) {
    return write(std::unique_lock(writers_, when), holding(value));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool store_until(const std::chrono::time_point<Clock, Duration>& when,
                                 const T& value) requires std::is_copy_constructible_v<T> {
    return store_until(when, T(value));
  }
  [[nodiscard]] bool store(std::stop_token token, T&& value) {
    return write(lock_unless_stopped(std::move(token)), holding(value));
  }
  [[nodiscard]] bool store(std::stop_token token, const T& value) requires std::is_copy_constructible_v<T> {
    return store(std::move(token), T(value));
  }

  // Copies the current version, calls f(copy) and makes that the current version, as one step for all other writers.
  // f may block and load(); other writers wait for it, readers do not. It must not write to this snapshot. If it throws,
  // nothing has changed. Go: a mutex around Load and Store, or a loop of CompareAndSwap.
  template <class F>
  void update(F&& f) {
    write(std::unique_lock(writers_), changed_by<F>(f));
  }
  // The same with an end, for the wait, as store_for() and its like: if they return false, f was not called.
  template <class Rep, class Period, class F>
  [[nodiscard]] bool update_for(const std::chrono::duration<Rep, Period>& period, F&& f) {
    return write(std::unique_lock(writers_, period), changed_by<F>(f));
  }
  template <class Clock, class Duration, class F>
  [[nodiscard]] bool update_until(const std::chrono::time_point<Clock, Duration>& when, F&& f) {
    return write(std::unique_lock(writers_, when), changed_by<F>(f));
  }
  template <class F>
  [[nodiscard]] bool update(std::stop_token token, F&& f) {
    return write(lock_unless_stopped(std::move(token)), changed_by<F>(f));
  }

 private:
  using version = typename snapshot_ptr<T>::version;
  std::uint32_t publish(std::unique_ptr<version> next) {
    const std::uint32_t before = core_.publish(next.get());
    static_cast<void>(next.release());
    return before;
  }
  // What make the next version.
  static auto holding(T& value) {
    return [&value] { return std::make_unique<version>(std::move(value)); };
  }
  template <class F>
  auto changed_by(std::remove_reference_t<F>& f) {
    return [this, &f] {
      auto next = std::make_unique<version>(*load());
      std::forward<F>(f)(next->value);
      return next;
    };
  }
  [[clang::no_thread_safety_analysis]] std::unique_lock<mutex> lock_unless_stopped(std::stop_token token) {
    if (!writers_.lock(std::move(token))) return {};
    return std::unique_lock(writers_, std::adopt_lock);
  }
  // If it is this writer's turn, makes the next version; whether it was. What was there goes when others may write again: its
  // destructor can be anything.
  template <class Make>
  bool write(std::unique_lock<mutex> turn, Make make) {
    if (!turn) return false;
    const std::uint32_t before = publish(make());
    turn.unlock();
    snapshot_core::retire(before);
    return true;
  }

  mutex writers_;
  snapshot_core core_;
};

}  // namespace turnkey

#pragma GCC diagnostic pop
