// The one wait queue: a FIFO of waiters, circular, linked through them, 8 bytes in the primitive. All of it is called
// under the primitive's latch.
#pragma once

#include "parking/waiter.hpp"

namespace turnkey::parking {

// A view on the head pointer that a primitive keeps in its public header.
class wait_queue {
 public:
  explicit wait_queue(waiter*& head) noexcept : head_(head) {}

  [[nodiscard]] bool is_empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] waiter* front() const noexcept { return head_; }
  [[nodiscard]] waiter* back() const noexcept { return head_ == nullptr ? nullptr : head_->previous_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return head_ == nullptr ? 0 : head_->behind_ + 1; }
  [[nodiscard]] static bool is_queued(const waiter& w) noexcept { return w.next_ != nullptr; }
  // The one behind `w`; null at the end.
  [[nodiscard]] waiter* after(const waiter& w) const noexcept { return w.next_ == head_ ? nullptr : w.next_; }

  void push_back(waiter& w) noexcept {
    if (head_ == nullptr) {
      w.next_ = w.previous_ = head_ = &w;
      w.behind_ = 0;
      return;
    }
    ++head_->behind_;
    w.next_ = head_;
    w.previous_ = head_->previous_;
    w.previous_->next_ = &w;
    head_->previous_ = &w;
  }
  void push_front(waiter& w) noexcept {
    push_back(w);
    w.behind_ = size() - 1;
    head_ = &w;
  }
  void remove(waiter& w) noexcept {
    if (w.next_ == &w) {
      head_ = nullptr;
    } else {
      w.previous_->next_ = w.next_;
      w.next_->previous_ = w.previous_;
      if (head_ == &w) {
        head_ = w.next_;
        head_->behind_ = w.behind_;
      }
      --head_->behind_;
    }
    w.next_ = w.previous_ = nullptr;
  }
  // Null if empty.
  waiter* pop_front() noexcept {
    waiter* const first = head_;
    if (first != nullptr) remove(*first);
    return first;
  }

 private:
  waiter*& head_;
};

// The queue of a lock: knows how many of those in it wait to read.
class lock_queue : public wait_queue {
 public:
  using wait_queue::wait_queue;

  [[nodiscard]] std::uint32_t readers() const noexcept { return is_empty() ? 0 : front()->readers_; }

  void push_back(waiter& w) noexcept {
    const std::uint32_t count = readers() + counted(w);
    wait_queue::push_back(w);
    front()->readers_ = count;
  }
  void push_front(waiter& w) noexcept {
    w.readers_ = readers() + counted(w);
    wait_queue::push_front(w);
  }
  void remove(waiter& w) noexcept {
    const std::uint32_t count = readers() - counted(w);
    wait_queue::remove(w);
    if (!is_empty()) front()->readers_ = count;
  }
  waiter* pop_front() noexcept {
    waiter* const first = front();
    if (first != nullptr) remove(*first);
    return first;
  }

 private:
  static std::uint32_t counted(const waiter& w) noexcept { return w.is_reader() ? 1 : 0; }
};

// Waiters that were taken out of a queue, to be signalled once the latch is let go. It links them through another member
// than the queue, so that one whose limit ends meanwhile sees that it is not queued any more.
class wake_list {
 public:
  void push_back(waiter& w) noexcept {
    w.previous_ = nullptr;
    (last_ == nullptr ? first_ : last_->previous_) = &w;
    last_ = &w;
  }
  void signal_all() noexcept {
    while (first_ != nullptr) {
      waiter* const w = first_;
      first_ = w->previous_;
      w->signal();  // invariant S: it may be gone after this
    }
    last_ = nullptr;
  }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

}  // namespace turnkey::parking
