// expect: read-only|not assignable|const-qualified
#include <turnkey/snapshot.hpp>

void call(turnkey::snapshot<int>& it) {
#ifdef CONTROL
  it.update([](int& copy) { copy = 1; });
#else
  *it.load() = 1;
#endif
}
