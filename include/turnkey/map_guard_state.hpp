// turnkey/map_guard_state.hpp -- the word by which a map_guard knows who is in its map, and how often elements have come or gone.
// Not for direct use. What its values mean is at the top of src/data/map_guard.cpp.
#pragma once

#include <bit>
#include <cstdint>

namespace turnkey {

struct map_guard_state {
  // All of it: what an iterator remembers.
  using word = std::uint64_t;
  // The lower half, which is what writers change.
  using half [[gnu::may_alias]] = std::uint32_t;
  static_assert(std::endian::native == std::endian::little);

  static constexpr half free = 0x6000'0000;
  static constexpr word caught = 0x4000'0000;
  static constexpr word what_goes_on = 0xe000'0000;
  static constexpr word lower = 0xffff'ffff;

  // Somebody has entered or left who must not, or a round is over.
  static constexpr bool is_negative(word state) noexcept { return static_cast<std::int32_t>(state) < 0; }
  static constexpr bool is_free(word state) noexcept {
    return static_cast<std::int32_t>(state) >= static_cast<std::int32_t>(free);
  }
  // `state` as somebody leaves it: with the next round begun if this one is over.
  static constexpr word settled(word state) noexcept {
    return static_cast<half>(state) == 0x8000'0000 ? state + free + 0x8000'0000 : state;
  }
};

}  // namespace turnkey
