// expect: send
#include <memory>
#include <utility>

#include <turnkey/chan.hpp>

void call(const turnkey::chan<std::unique_ptr<int>>& c, std::unique_ptr<int>& mine) {
#ifdef CONTROL
  c.send(std::move(mine));
#else
  c.send(mine);
#endif
}
