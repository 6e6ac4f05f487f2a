// M: what does it cost a map to be watched?    checked_map, the same map without it
//
// One thread works on a map of a thousand entries, which lies in the cache, so that nothing hides the price: it looks keys up,
// counts (++m[k]), adds elements and erases them, walks through all. Keys are ints, the cheapest there are, and strings of 20
// characters. M.all is a program of all four, as often each: every key is added, counted, looked up, passed by, and erased.
#include <array>
#include <cstdio>
#include <string>
#include <turnkey/checked_map.hpp>
#include <unordered_map>
#include <vector>

#include "rivals.hpp"

namespace {

using namespace bench;

constexpr int entries = 1000;

template <class Key>
std::vector<Key> make_keys(int first) {
  std::vector<Key> all;
  for (int i = first; i < first + entries; ++i) {
    if constexpr (std::is_same_v<Key, std::string>) {
      std::array<char, 32> text{};
      std::snprintf(text.data(), text.size(), "key-%016d", i);
      all.emplace_back(text.data());
    } else {
      all.push_back(i * 7);
    }
  }
  return all;
}

template <class Map>
struct fixture {
  using key = typename Map::key_type;
  std::vector<key> present = make_keys<key>(0);
  std::vector<key> absent = make_keys<key>(entries);
  Map map;
  fixture() {
    for (const key& k : present) map[k] = 1;
  }
};

template <class Map>
void look_up(fixture<Map>& in) {
  long sum = 0;
  for (const auto& key : in.present) sum += in.map.find(key)->second;
  keep(sum);
}

template <class Map>
void count(fixture<Map>& in) {
  for (const auto& key : in.present) ++in.map[key];
}

template <class Map>
void add_and_erase(fixture<Map>& in) {
  for (const auto& key : in.absent) in.map.try_emplace(key, 1);
  for (const auto& key : in.absent) in.map.erase(key);
}

template <class Map>
void walk(fixture<Map>& in) {
  long sum = 0;
  for (const auto& [key, value] : in.map) sum += value;
  keep(sum);
}

template <class Map>
void all_of_it(fixture<Map>& in) {
  for (const auto& key : in.absent) in.map.try_emplace(key, 1);
  for (const auto& key : in.absent) ++in.map[key];
  look_up(in);
  walk(in);
  for (const auto& key : in.absent) in.map.erase(key);
}

// Nanoseconds an entry.
template <class Map>
sample each_entry(void (*work)(fixture<Map>&)) {
  static fixture<Map> in;
  work(in);
  return {time_each(2000, [work] { work(in); }) / entries};
}

template <class Key>
void add_rows(suite& all, const std::string& keys) {
  using beneath = std::unordered_map<Key, long>;
  using watched = turnkey::checked_map<Key, long, beneath>;
  struct row {
    std::string id;
    std::string question;
    void (*of_watched)(fixture<watched>&);
    void (*of_beneath)(fixture<beneath>&);
  };
  const std::array rows{
      row{"M.find.", "look up what is there", look_up<watched>, look_up<beneath>},
      row{"M.count.", "add 1 to what is there, ++m[k]", count<watched>, count<beneath>},
      row{"M.change.", "add an element and erase it again", add_and_erase<watched>, add_and_erase<beneath>},
      row{"M.walk.", "go to the next element", walk<watched>, walk<beneath>},
      row{"M.all.", "all of these, and each as often", all_of_it<watched>, all_of_it<beneath>},
  };
  for (const row& each : rows) {
    all.add(
        {.id = each.id + keys,
         .question = "a map of 1,000 entries, " + keys + " keys: " + each.question,
         .unit = "ns",
         .goals = {{goal::relation::at_most, 1.05, side::standard}},
         .contenders = {{"turnkey::checked_map", side::ours, [=] { return each_entry<watched>(each.of_watched); }},
                        {"std::unordered_map", side::standard, [=] { return each_entry<beneath>(each.of_beneath); }}}});
  }
}

const registration watched_maps([](suite& all) {
  add_rows<int>(all, "int");
  add_rows<std::string>(all, "string");
});

}  // namespace
