// expect: cannot be copied
#include <turnkey/concurrent_map.hpp>

#ifdef CONTROL
void use(turnkey::concurrent_map<int, int>& it);
#else
void use(turnkey::concurrent_map<int, int> it);
#endif

void call(turnkey::concurrent_map<int, int>& it) { use(it); }
