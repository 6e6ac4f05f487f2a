// turnkey/map_guard_state.hpp -- the word by which a map_guard knows who is in its map, and how often elements have come or gone.
// Not for direct use. What its values mean is at the top of src/data/map_guard.cpp.
#pragma once

#include <cstdint>

namespace turnkey {

struct map_guard_state {
  using word = std::uint32_t;

  static constexpr word free = 0x6000'0000;
  static constexpr word caught = 0x4000'0000;
  static constexpr word what_goes_on = 0xe000'0000;
  static constexpr word round_is_over = 0x8000'0000;

  // As a signed number: whatever is less is not free.
  static constexpr auto least_free = static_cast<std::int32_t>(free);
};

}  // namespace turnkey
