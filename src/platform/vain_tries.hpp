// Something that is worth a try, unless it has just been in vain: leaves out the next 1, 3, 7, ... 63 times.
#pragma once

#include <cstdint>

namespace turnkey::platform {

class vain_tries {
 public:
  // True: not this time.
  bool leave_out() noexcept {
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  void note_success() noexcept { left_ = next_ = 0; }
  void note_failure() noexcept {
    if (next_ < most) next_ = 2 * next_ + 1;
    left_ = next_;
  }

 private:
  static constexpr std::uint32_t most = 63;
  std::uint32_t left_ = 0;
  std::uint32_t next_ = 0;
};

}  // namespace turnkey::platform
