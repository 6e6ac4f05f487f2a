// expect: make the case where select is called
#include <turnkey/select.hpp>

void call(const turnkey::chan<int>& c) {
#ifdef CONTROL
  const turnkey::select_case one = turnkey::on_recv(c);
#else
  auto one = turnkey::on_recv(c);
#endif
  turnkey::select(one);
}
