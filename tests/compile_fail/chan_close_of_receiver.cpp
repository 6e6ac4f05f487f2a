// expect: close
#include <turnkey/chan.hpp>

void call(const turnkey::chan<int>& both) {
#ifdef CONTROL
  const turnkey::sender<int> end = both;
#else
  const turnkey::receiver<int> end = both;
#endif
  end.close();
}
