// expect: one cannot receive from a sender
#include <turnkey/select.hpp>

void call(const turnkey::chan<int>& both) {
#ifdef CONTROL
  const turnkey::receiver<int> end = both;
#else
  const turnkey::sender<int> end = both;
#endif
  turnkey::select(turnkey::on_recv(end));
}
