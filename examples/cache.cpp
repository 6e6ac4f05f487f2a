// S7: an in-memory cache that many use at once: bounded, expiring, and it loads a missing key once however many ask.
//
// In Go: a struct with a sync.RWMutex, a map, golang.org/x/sync/singleflight and a few atomic counters. Here the map finds
// its entries without a lock, and each entry brings its own.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <turnkey/turnkey.hpp>
#include <utility>

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

template <class Key, class Value>
class cache {
 public:
  struct statistics {
    std::int64_t hits, loads, expired, evicted;
  };

  // At most `capacity` values, each for `lifetime`; `load` makes the value of a key that is missing.
  cache(std::size_t capacity, clock::duration lifetime, std::function<Value(const Key&)> load)
      : capacity_(capacity), lifetime_(lifetime), load_(std::move(load)) {}

  // The value of `key`. Who asks first loads it; who asks meanwhile waits for that, and for nothing else. If loading throws,
  // this call throws, and the next one tries again.
  Value get(const Key& key) {
    const auto [found, was_there] = entries_.load_or_store(key, std::make_shared<entry>());
    if (!was_there) make_room(key);
    return found->with([&](content& it) {
      if (it.value && clock::now() < it.expires) {
        ++hits_;
        return *it.value;
      }
      if (it.value) ++expired_;
      ++loads_;
      it.value = load_(key);
      it.expires = clock::now() + lifetime_;
      return *it.value;
    });
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] statistics figures() const { return {hits_.load(), loads_.load(), expired_.load(), evicted_.load()}; }

 private:
  struct content {
    std::optional<Value> value;
    clock::time_point expires;
  };
  using entry = turnkey::guarded<content>;

  // The oldest goes. Whoever is using its value has a share in it.
  void make_room(const Key& added) {
    order_.with([&](std::deque<Key>& order) {
      order.push_back(added);
      for (; order.size() > capacity_; order.pop_front()) {
        if (entries_.erase(order.front())) ++evicted_;
      }
    });
  }

  const std::size_t capacity_;
  const clock::duration lifetime_;
  const std::function<Value(const Key&)> load_;
  turnkey::concurrent_map<Key, std::shared_ptr<entry>> entries_;
  turnkey::guarded<std::deque<Key>> order_;  // of the keys that are there, oldest first
  turnkey::counter hits_, loads_, expired_, evicted_;
};

std::atomic<int> disturbed{0};  // values that were not what was loaded for their key

using page_cache = cache<std::string, std::string>;

std::string render(const std::string& page) {
  turnkey::this_goroutine::sleep_for(5ms);  // a slow database; others go on
  return "<h1>" + page + "</h1>";
}

void ask(page_cache& pages, const std::string& page) {
  if (pages.get(page) != "<h1>" + page + "</h1>") ++disturbed;
}

void show(const char* what, const page_cache& pages) {
  const auto [hits, loads, expired, evicted] = pages.figures();
  std::printf("%-40s %6lld %6lld %8lld %8lld\n", what, static_cast<long long>(hits), static_cast<long long>(loads),
              static_cast<long long>(expired), static_cast<long long>(evicted));
}

}  // namespace

int main() {
  page_cache pages(8, 1h, render);
  std::printf("%-40s %6s %6s %8s %8s\n", "", "hits", "loads", "expired", "evicted");

  turnkey::wait_group visitors;
  for (int i = 0; i < 1000; ++i) visitors.go([&] { ask(pages, "home"); });
  visitors.wait();
  show("1000 visitors of one page that is missing", pages);

  for (int i = 0; i < 1000; ++i) visitors.go([&, i] { ask(pages, "page " + std::to_string(i % 7)); });
  visitors.wait();
  show("1000 more, of 7 other pages", pages);

  ask(pages, "one too many");
  show("a ninth page, where there is room for 8", pages);

  page_cache fresh(8, 1ns, render);
  for (int i = 0; i < 3; ++i) ask(fresh, "home");
  show("a page that is stale at once, three times", fresh);
  std::printf("pages kept: %zu and %zu; values lost or torn: %d\n", pages.size(), fresh.size(), disturbed.load());
}
