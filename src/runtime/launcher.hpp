// How a goroutine comes about: its record is filled in first, and then started, at once or later, or discarded.
#pragma once

#include <cstddef>

#include <turnkey/go.hpp>

#include "runtime/goroutine.hpp"

namespace turnkey::runtime {

class launcher {
 public:
  // Starts the scheduler, if it is not. Throws std::system_error(EAGAIN, complaint) if there is no thread to be had.
  static void require_scheduler(const char* complaint);
  // A record with room for `size` bytes, which run(room) is to get. `options` may be null. `site`: the return address into
  // the user's function that makes it, for reports. Starts the scheduler. Throws what goroutine_launch's constructor does.
  static goroutine* make(const goroutine_options* options, std::size_t size, std::size_t align, void (*run)(void*),
                         const void* site);
  static void* room(const goroutine& g) noexcept { return g.callable_; }
  // What the caller has done happens before what g does. Once the callable is in its room, by the one that put it there.
  static void release(goroutine& g) noexcept;
  // Makes it ready. From any thread, on behalf of nobody: whose turn it happens to be is not ordered before g.
  static void start(goroutine& g) noexcept;
  // Gives it back, in place of start(). The callable has been destroyed, or never was.
  static void discard(goroutine& g) noexcept;

 private:
  static void set_name(goroutine& g, std::string_view name) noexcept;
};

}  // namespace turnkey::runtime
