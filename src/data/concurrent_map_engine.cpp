// What of turnkey::concurrent_map is not a template: see the protocol in <turnkey/concurrent_map_engine.hpp>.
#include <turnkey/concurrent_map_engine.hpp>

#include "platform/cpu.hpp"
#include "platform/thread.hpp"

namespace turnkey {

void map_backoff::wait() noexcept {
  if (++rounds_ <= 16) {
    platform::pause(4);
  } else {
    platform::yield_thread();
  }
}

void map_refuse_reentry() {
  throw std::logic_error(
      "turnkey::concurrent_map: what is called while a key is written, such as f in update(k, f), must not write to "
      "it");
}

}  // namespace turnkey
