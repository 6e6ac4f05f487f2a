// turnkey/snapshot_core.hpp -- the part of snapshot that does not depend on what it holds. Not for direct use: it has no
// public members. The protocol is at the top of src/data/snapshot_core.cpp.
#pragma once

#include <atomic>
#include <cstdint>

namespace turnkey {

// What every version of every snapshot begins with. The value itself is in a class derived from it.
class snapshot_version {
 public:
  snapshot_version(const snapshot_version&) = delete;
  snapshot_version& operator=(const snapshot_version&) = delete;

 protected:
  using destroy_function = void (*)(snapshot_version*) noexcept;
  explicit snapshot_version(destroy_function destroy) noexcept : destroy_(destroy) {}
  ~snapshot_version() = default;

 private:
  friend class snapshot_core;
  destroy_function destroy_;
  std::uint32_t id_ = 0;
};

// Which version is current, by its id. An id fits a word and indexes the reference counts, so it can be read and counted
// without touching the version, which may be going at that moment.
class snapshot_core {
 public:
  snapshot_core(const snapshot_core&) = delete;
  snapshot_core& operator=(const snapshot_core&) = delete;

 private:
  template <class T>
  friend class snapshot;
  template <class T>
  friend class snapshot_ptr;

  constexpr snapshot_core() noexcept = default;
  ~snapshot_core();

  // Makes `next` the current version and returns the id of the one before, or 0. Throws std::bad_alloc, and then has done
  // nothing, if there are too many versions.
  [[nodiscard]] std::uint32_t publish(snapshot_version* next);
  // Lets go of what publish() has replaced. May destroy it.
  static void retire(std::uint32_t id) noexcept;
  // The current version, which stays until it is released. Never blocks.
  [[nodiscard]] snapshot_version* acquire() const noexcept;
  // For whoever has acquired it: once more, and no longer. May destroy it.
  static void retain(const snapshot_version* version) noexcept;
  static void release(const snapshot_version* version) noexcept;

  [[nodiscard]] snapshot_version* acquire_shared() const noexcept;
  static void release_shared(std::uint32_t id) noexcept;
  static void destroy(std::uint32_t id) noexcept;

  std::atomic<std::uint32_t> current_{0};
};

}  // namespace turnkey
