#include "rivals.hpp"

#ifdef TURNKEY_BENCH_HAS_TBB
#include <tbb/version.h>
#endif
#ifdef TURNKEY_BENCH_HAS_ABSL
#include <absl/base/config.h>
#endif
#include <gnu/libc-version.h>

namespace bench {

std::vector<std::string> rival_versions() {
  std::vector<std::string> all{std::string("glibc ") + gnu_get_libc_version()};
#ifdef _GLIBCXX_RELEASE
  all.push_back("libstdc++ " + std::to_string(_GLIBCXX_RELEASE));
#endif
#ifdef TURNKEY_BENCH_HAS_TBB
  all.emplace_back("oneTBB " TBB_VERSION_STRING);
#endif
#ifdef TURNKEY_BENCH_HAS_ABSL
#ifdef ABSL_LTS_RELEASE_VERSION
  all.push_back("abseil " + std::to_string(ABSL_LTS_RELEASE_VERSION));
#else
  all.emplace_back("abseil, not a release");
#endif
#endif
#ifdef TURNKEY_BENCH_HAS_NSYNC
  all.emplace_back("nsync " TURNKEY_BENCH_HAS_NSYNC);  // its headers do not say; CMake knows from the library's name
#endif
  return all;
}

}  // namespace bench
