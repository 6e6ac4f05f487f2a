#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include <turnkey/mutex.hpp>
#include <turnkey/rw_mutex.hpp>

#include "support.hpp"
#include "twin_maps.hpp"

using support::stage;

namespace {

// Whoever writes is alone, whoever reads is not, as the lock sees to it.
template <class Mutex, class Read, class Write>
void mix() {
  support::stress().run(512, [](const stage& where, int size, std::uint64_t seed) {
    constexpr std::size_t actors = 6;
    Mutex mu;
    support::twin_maps<std::unordered_map<int, int>> maps;
    support::crew others(where);
    for (std::size_t me = 0; me < actors; ++me) {
      others.start([&, me] {
        support::dice luck(seed + me);
        for (int i = 0; i < size; ++i) {
          if (luck.roll(3) == 0) {
            const Write hold(mu);
            for (int calls = 1 + luck.roll(3); calls > 0; --calls) maps.change(luck);
          } else {
            const Read hold(mu);
            maps.look(luck);
            luck.dawdle();
            maps.look(luck);
          }
          luck.dawdle();
        }
      });
    }
  });
}

}  // namespace

TEST(CheckedMapStress, IsNeverReportedUnderAMutex) {
  mix<turnkey::mutex, std::scoped_lock<turnkey::mutex>, std::scoped_lock<turnkey::mutex>>();
}
TEST(CheckedMapStress, IsNeverReportedUnderAReaderWriterLock) {
  mix<turnkey::rw_mutex, std::shared_lock<turnkey::rw_mutex>, std::scoped_lock<turnkey::rw_mutex>>();
}
