// W11: a reader locks for reading again, in a function that it calls, while a writer waits in between.
//
// In Go: the same three block for ever; its documentation forbids recursive read locking for this reason, and says nothing
// when it happens. A waiting writer holds back new readers, or it might wait for ever; so the second lock waits for the
// writer, which waits for the first. It works in every test in which no writer comes at the wrong moment.
#include <chrono>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <turnkey/diagnostics.hpp>
#include <turnkey/turnkey.hpp>

namespace {

using namespace std::chrono_literals;

turnkey::rw_mutex mu;  // guards prices
std::map<std::string, int> prices{{"bread", 3}, {"butter", 2}};

int price_of(const std::string& what) {
  const std::shared_lock look(mu);
  return prices.at(what);
}

int price_of_both() {
  const std::shared_lock look(mu);
  const int bread = prices.at("bread");
  turnkey::this_goroutine::sleep_for(50ms);  // the writer comes
  return bread + price_of("butter");
}

void raise_prices() {
  turnkey::this_goroutine::sleep_for(10ms);
  const std::scoped_lock change(mu);
  for (auto& [what, price] : prices) ++price;
}

}  // namespace

int main() {
  turnkey::diagnostics::name(mu, "prices");
  turnkey::wait_group shop;
  shop.go({.name = "customer"}, [] { price_of_both(); });
  shop.go({.name = "owner"}, raise_prices);
  shop.wait();
}
