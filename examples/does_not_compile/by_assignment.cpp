// W8: a mutex that is assigned another one's state: free or locked, and by whom?
#include <turnkey/mutex.hpp>

void reset(turnkey::mutex& mu) { mu = turnkey::mutex(); }
