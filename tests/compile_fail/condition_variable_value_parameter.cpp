// expect: cannot be copied
#include <turnkey/condition_variable.hpp>

#ifdef CONTROL
void use(turnkey::condition_variable& it);
#else
void use(turnkey::condition_variable it);
#endif

void call(turnkey::condition_variable& it) { use(it); }
