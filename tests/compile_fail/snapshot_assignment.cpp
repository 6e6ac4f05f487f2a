// expect: cannot be copied
#include <turnkey/snapshot.hpp>

void call(turnkey::snapshot<int>& it, turnkey::snapshot<int>& other) {
#ifdef CONTROL
  other.store(*it.load());
#else
  other = it;
#endif
}
