// Other libraries' locks with the functions of std's, for those that are installed; `missing` stands for the others.
#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "bench.hpp"

#ifdef TURNKEY_BENCH_HAS_TBB
#include <oneapi/tbb/mutex.h>
#include <oneapi/tbb/rw_mutex.h>
#endif
#ifdef TURNKEY_BENCH_HAS_ABSL
#include <absl/synchronization/mutex.h>
#endif
#ifdef TURNKEY_BENCH_HAS_NSYNC
#include <nsync_mu.h>
#endif

namespace bench {

struct missing {};

#ifdef TURNKEY_BENCH_HAS_TBB
using tbb_mutex = tbb::mutex;
using tbb_rw_mutex = tbb::rw_mutex;
#else
using tbb_mutex = missing;
using tbb_rw_mutex = missing;
#endif

#ifdef TURNKEY_BENCH_HAS_ABSL
// Its search for deadlocks is off, which it is in its release builds and not in Debian's.
class absl_mutex {
 public:
  absl_mutex() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }
  [[clang::no_thread_safety_analysis]] void lock() { mu_.Lock(); }
  [[clang::no_thread_safety_analysis]] void unlock() { mu_.Unlock(); }
  [[clang::no_thread_safety_analysis]] void lock_shared() { mu_.ReaderLock(); }
  [[clang::no_thread_safety_analysis]] void unlock_shared() { mu_.ReaderUnlock(); }

 private:
  absl::Mutex mu_;
};
#else
using absl_mutex = missing;
#endif

#ifdef TURNKEY_BENCH_HAS_NSYNC
class nsync_mutex {
 public:
  void lock() { nsync::nsync_mu_lock(&mu_); }
  void unlock() { nsync::nsync_mu_unlock(&mu_); }
  void lock_shared() { nsync::nsync_mu_rlock(&mu_); }
  void unlock_shared() { nsync::nsync_mu_runlock(&mu_); }

 private:
  nsync::nsync_mu mu_ = NSYNC_MU_INIT;
};
#else
using nsync_mutex = missing;
#endif

// A contender with Mutex; `make.operator()<Mutex>()` returns what measures it.
template <class Mutex, class Make>
contender rival(const std::string& name, const Make& make) {
  contender one{name, side::other, nullptr};
  if constexpr (!std::is_same_v<Mutex, missing>) one.measure = make.template operator()<Mutex>();
  return one;
}

template <class Make>
void add_rival_mutexes(benchmark& to, const Make& make) {
  to.contenders.push_back(rival<absl_mutex>("absl::Mutex", make));
  to.contenders.push_back(rival<tbb_mutex>("tbb::mutex", make));
  to.contenders.push_back(rival<nsync_mutex>("nsync_mu", make));
}

template <class Make>
void add_rival_rw_mutexes(benchmark& to, const Make& make) {
  to.contenders.push_back(rival<absl_mutex>("absl::Mutex", make));
  to.contenders.push_back(rival<tbb_rw_mutex>("tbb::rw_mutex", make));
  to.contenders.push_back(rival<nsync_mutex>("nsync_mu", make));
}

// Name and version of each library that is there.
std::vector<std::string> rival_versions();

}  // namespace bench
