// expect: a lock cannot be copied
#include <turnkey/rw_mutex.hpp>

#ifdef CONTROL
void use(turnkey::rw_mutex& it);
#else
void use(turnkey::rw_mutex it);
#endif

void call(turnkey::rw_mutex& it) { use(it); }
