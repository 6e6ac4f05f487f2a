// M: what does it cost a map to be watched?    checked_map, the same map without it
//
// One thread works on a map of two hundred entries, which lies in the first cache, so that nothing hides the price: it looks keys up,
// counts (++m[k]), adds elements and erases them, walks through all. Keys are ints, the cheapest there are, and strings of 20
// characters. M.all is a program of all four, as often each: every key is added, counted, looked up, passed by, and erased.
// M.assign and M.add write and then go on with an iterator.
#include <array>
#include <cstdio>
#include <string>
#include <turnkey/checked_map.hpp>
#include <unordered_map>
#include <vector>

#ifdef TURNKEY_BENCH_HAS_ABSL
#include <absl/container/flat_hash_map.h>
#endif
#if __has_include(<boost/unordered/unordered_flat_map.hpp>)
#include <boost/unordered/unordered_flat_map.hpp>
#endif

#include "rivals.hpp"

namespace {

using namespace bench;

constexpr int entries = 200;  // of a thousand, half lie in the second cache, and which half is luck

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
void assign(fixture<Map>& in) {
  for (const auto& [key, value] : in.map) in.map[key] = 7;
}

template <class Map>
void add(fixture<Map>& in) {
  for (const auto& key : in.present) ++in.map.try_emplace(key, 0).first->second;
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
  return {time_each(10000, [work] { work(in); }) / entries};
}

// One piece of work on a map, watched and as it is.
template <class Beneath>
struct pair_of_works {
  using watched = turnkey::checked_map<typename Beneath::key_type, long, Beneath>;
  void (*of_watched)(fixture<watched>&);
  void (*of_beneath)(fixture<Beneath>&);

  void add_row(suite& all, const std::string& id, const std::string& question, const std::string& name,
               side from) const {
    all.add(
        {.id = "M." + id,
         .question = question,
         .unit = "ns",
         .goals = {{goal::relation::at_most, 1.05, from}},
         .contenders = {{"turnkey::checked_map", side::ours, [work = of_watched] { return each_entry<watched>(work); }},
                        {name, from, [work = of_beneath] { return each_entry<Beneath>(work); }}}});
  }
};

template <class Beneath>
constexpr pair_of_works<Beneath> everything{all_of_it<typename pair_of_works<Beneath>::watched>, all_of_it<Beneath>};

template <class Key>
void add_rows(suite& all, const std::string& keys) {
  using beneath = std::unordered_map<Key, long>;
  using watched = typename pair_of_works<beneath>::watched;
  const auto add_row = [&](const pair_of_works<beneath>& works, const std::string& id, const std::string& question) {
    works.add_row(all, id + "." + keys,
                  "a map of " + std::to_string(entries) + " entries, " + keys + " keys: " + question,
                  "std::unordered_map", side::standard);
  };
  add_row({look_up<watched>, look_up<beneath>}, "find", "look up what is there");
  add_row({count<watched>, count<beneath>}, "count", "add 1 to what is there, ++m[k]");
  add_row({add_and_erase<watched>, add_and_erase<beneath>}, "change", "add an element and erase it again");
  add_row({walk<watched>, walk<beneath>}, "walk", "go to the next element");
  add_row({assign<watched>, assign<beneath>}, "assign", "go to the next element and assign to it, m[k] = v");
  add_row({add<watched>, add<beneath>}, "add", "add 1 to what try_emplace finds");
  add_row(everything<beneath>, "all", "add an element, count it, look it up, pass by it, erase it");
}

// Others' maps, where they are.
template <class Beneath>
[[maybe_unused]] void add_other_row(suite& all, const std::string& keys, const std::string& name) {
  const std::string of = name.substr(0, name.find("::"));
  everything<Beneath>.add_row(all, "all." + keys + "." + of, "what M.all." + keys + " does, with " + of + "'s flat map",
                              name, side::other);
}

const registration watched_maps([](suite& all) {
  add_rows<int>(all, "int");
  add_rows<std::string>(all, "string");
#ifdef TURNKEY_BENCH_HAS_ABSL
  add_other_row<absl::flat_hash_map<int, long>>(all, "int", "absl::flat_hash_map");
  add_other_row<absl::flat_hash_map<std::string, long>>(all, "string", "absl::flat_hash_map");
#endif
#if __has_include(<boost/unordered/unordered_flat_map.hpp>)
  add_other_row<boost::unordered_flat_map<int, long>>(all, "int", "boost::unordered_flat_map");
  add_other_row<boost::unordered_flat_map<std::string, long>>(all, "string", "boost::unordered_flat_map");
#endif
});

}  // namespace
