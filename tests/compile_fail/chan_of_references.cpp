// expect: a channel carries plain values
#include <turnkey/chan.hpp>

#ifdef CONTROL
turnkey::chan<int*> numbers;
#else
turnkey::chan<int&> numbers;
#endif
