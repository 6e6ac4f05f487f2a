// What ThreadSanitizer is told of channels. Nothing of it exists without ThreadSanitizer.
//
// The promised edges, and no others: the k-th send -> the k-th receive; the k-th receive -> the (k+C)-th send, where C is
// the capacity, and with none the same send; close -> a receive that says so.
//
// Every slot of a buffered channel has an edge of its own: whoever uses the slot, sender or receiver, acquires and
// releases it. Its users follow each other as the promised edges do, so nothing more is ordered.
//
// A peer that waits cannot acquire or release when it is served; it brings two edges of its own. `before` is released by
// it before it waits; `after` is released by the one that serves it, and acquired when it has woken. Without capacity both
// sides are ordered, so the one that serves acquires `before`. With capacity it must not: there the peer is served as if
// it used the slot itself, and the next user of the slot is to be ordered behind the peer, so that `before` becomes the
// slot's edge (exchange). What the server moves on the peer's behalf is hidden by tsan_ignore then.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "platform/sanitizer.hpp"

namespace turnkey {

using tsan_edge_pointer = std::unique_ptr<platform::tsan_edge>;

class wait_edges {
 public:
  tsan_edge_pointer before = std::make_unique<platform::tsan_edge>();
  platform::tsan_edge after;
};

class slot_edges {
 public:
  explicit slot_edges(std::size_t capacity) : edges_(std::make_unique<tsan_edge_pointer[]>(capacity)) {}

  // Around the use of a slot by the caller.
  void enter(std::size_t slot) { edge(slot)->acquire(); }
  void leave(std::size_t slot) { edge(slot)->release(); }
  // The caller has used the slot on behalf of a peer that waits.
  void exchange(std::size_t slot, wait_edges& peer) { std::swap(edge(slot), peer.before); }

 private:
  tsan_edge_pointer& edge(std::size_t slot) {
    if (edges_[slot] == nullptr) edges_[slot] = std::make_unique<platform::tsan_edge>();
    return edges_[slot];
  }

  std::unique_ptr<tsan_edge_pointer[]> edges_;
};

}  // namespace turnkey
