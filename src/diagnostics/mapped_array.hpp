// An array that grows in mapped memory: for reports, which must not allocate. What it holds is copied as bytes, and is not
// destroyed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

#include "platform/sanitizer.hpp"
#include "platform/stack_memory.hpp"

namespace turnkey::diagnostics {

template <class T>
class mapped_array {
 public:
  static_assert(std::is_trivially_copyable_v<T>);

  mapped_array() noexcept = default;
  mapped_array(const mapped_array&) = delete;
  mapped_array& operator=(const mapped_array&) = delete;
  ~mapped_array() {
    if (data_ != nullptr) platform::unmap_memory(data_, bytes_of(capacity_));
  }

  // Room for so many in all. False: no memory, and nothing has changed. Pages that are not used cost nothing.
  bool reserve(std::size_t wanted) noexcept {
    if (wanted <= capacity_) return true;
    const std::size_t bytes = bytes_of(std::max(wanted, capacity_ * 2));
    auto* const grown = static_cast<T*>(platform::map_memory(bytes, platform::pages::small));
    if (grown == nullptr) return false;
    const platform::tsan_ignore ignore;
    if (size_ != 0) std::memcpy(static_cast<void*>(grown), data_, size_ * sizeof(T));
    if (data_ != nullptr) platform::unmap_memory(data_, bytes_of(capacity_));
    data_ = grown;
    capacity_ = bytes / sizeof(T);
    return true;
  }
  // False: no memory, and it is left out.
  bool push_back(const T& value) noexcept {
    if (size_ == capacity_ && !reserve(size_ + 1)) return false;
    ::new (static_cast<void*>(data_ + size_)) T(value);
    ++size_;
    return true;
  }
  // Cut off, or filled up with zero bytes. False: no memory.
  bool resize(std::size_t size) noexcept {
    if (!reserve(size)) return false;
    if (size > size_) std::memset(static_cast<void*>(data_ + size_), 0, (size - size_) * sizeof(T));
    size_ = size;
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }

 private:
  static std::size_t bytes_of(std::size_t count) noexcept {
    return (count * sizeof(T) + platform::page_size - 1) / platform::page_size * platform::page_size;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;  // bytes_of(capacity_) are mapped
};

}  // namespace turnkey::diagnostics
