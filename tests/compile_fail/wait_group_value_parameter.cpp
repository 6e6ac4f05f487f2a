// expect: cannot be copied
#include <turnkey/wait_group.hpp>

#ifdef CONTROL
void use(turnkey::wait_group& it);
#else
void use(turnkey::wait_group it);
#endif

void call(turnkey::wait_group& it) { use(it); }
