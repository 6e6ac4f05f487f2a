// expect: a lock cannot be copied
#include <turnkey/mutex.hpp>

#ifdef CONTROL
void deposit(turnkey::mutex& mu);
#else
void deposit(turnkey::mutex mu);
#endif

void call(turnkey::mutex& mu) { deposit(mu); }
