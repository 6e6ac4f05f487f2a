// expect: cannot be copied
#include <turnkey/once.hpp>

#ifdef CONTROL
void use(turnkey::once& it);
#else
void use(turnkey::once it);
#endif

void call(turnkey::once& it) { use(it); }
