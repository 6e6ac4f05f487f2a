// expect: a channel moves its values
#include <turnkey/chan.hpp>
#include <turnkey/mutex.hpp>

#ifdef CONTROL
turnkey::chan<turnkey::mutex*> locks;
#else
turnkey::chan<turnkey::mutex> locks;
#endif
