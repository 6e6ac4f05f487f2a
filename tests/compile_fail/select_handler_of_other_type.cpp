// expect: the handler of on_recv takes a std::optional
#include <memory>
#include <optional>
#include <string>

#include <turnkey/select.hpp>

void call(const turnkey::chan<int>& c) {
#ifdef CONTROL
  turnkey::select(turnkey::on_recv(c, [](std::optional<int>) {}));
#else
  turnkey::select(turnkey::on_recv(c, [](std::unique_ptr<std::string>) {}));
#endif
}
