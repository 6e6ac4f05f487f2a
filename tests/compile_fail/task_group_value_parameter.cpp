// expect: cannot be copied
#include <turnkey/task_group.hpp>

#ifdef CONTROL
void use(turnkey::task_group& it);
#else
void use(turnkey::task_group it);
#endif

void call(turnkey::task_group& it) { use(it); }
