// expect: a lock cannot be copied
#include <turnkey/mutex.hpp>

struct account {
  turnkey::mutex mu;
#ifdef CONTROL
  turnkey::mutex& lock() { return mu; }
#else
  turnkey::mutex lock() { return mu; }
#endif
};
