// expect: recv
#include <turnkey/chan.hpp>

void call(const turnkey::chan<int>& both) {
#ifdef CONTROL
  const turnkey::receiver<int> end = both;
#else
  const turnkey::sender<int> end = both;
#endif
  end.recv();
}
