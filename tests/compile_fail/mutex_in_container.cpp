// expect: deleted
#include <list>
#include <vector>

#include <turnkey/mutex.hpp>

void call() {
#ifdef CONTROL
  std::list<turnkey::mutex> all;
  all.emplace_back();
#else
  std::vector<turnkey::mutex> all;
  all.emplace_back();
#endif
}
