// expect: K and V must be plain types
#include <turnkey/concurrent_map.hpp>

#ifdef CONTROL
turnkey::concurrent_map<int, int> map;
#else
turnkey::concurrent_map<int, int&> map;
#endif
