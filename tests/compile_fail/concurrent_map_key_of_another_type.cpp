// expect: a key must convert to K
#include <string_view>

#include <turnkey/concurrent_map.hpp>

struct id {
  int number;
  bool operator==(const id&) const = default;
};
struct hash {
  std::size_t operator()(const id& it) const { return static_cast<std::size_t>(it.number); }
};

bool call(turnkey::concurrent_map<id, int, hash>& map) {
#ifdef CONTROL
  return map.load(id{1}).has_value();
#else
  return map.load(std::string_view("1")).has_value();
#endif
}
