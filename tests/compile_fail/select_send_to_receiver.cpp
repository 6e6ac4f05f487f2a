// expect: one cannot send to a receiver
#include <turnkey/select.hpp>

void call(const turnkey::chan<int>& both) {
#ifdef CONTROL
  const turnkey::sender<int> end = both;
#else
  const turnkey::receiver<int> end = both;
#endif
  turnkey::select(turnkey::on_send(end, 1));
}
