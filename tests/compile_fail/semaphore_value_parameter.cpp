// expect: cannot be copied
#include <turnkey/semaphore.hpp>

#ifdef CONTROL
void use(turnkey::semaphore& it);
#else
void use(turnkey::semaphore it);
#endif

void call(turnkey::semaphore& it) { use(it); }
