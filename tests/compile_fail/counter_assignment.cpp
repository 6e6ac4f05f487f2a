// expect: cannot be copied
#include <turnkey/counter.hpp>

void call(turnkey::counter& it, turnkey::counter& other) {
#ifdef CONTROL
  other.add(it.load());
#else
  other = it;
#endif
}
