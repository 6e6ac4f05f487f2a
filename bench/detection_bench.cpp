// What does it cost to be told what is wrong?          turnkey, each setting in processes of its own
//
// D1 to D4: P1, P2, P3 with eight, and P4, with the search for lock cycles as it is unless one says otherwise, and without
//           (TURNKEY_DEADLOCK=off). What nobody asked for must not cost.
// D5, D6:   the watchers that one asks for: two mutexes, one inside the other, under TURNKEY_LOCK_ORDER=1 and the others; around
//           look-ups in a map, and around nothing.
#include <string>
#include <utility>
#include <vector>

#include "bench.hpp"

namespace {

using namespace bench;

constexpr const char* without = "TURNKEY_DEADLOCK=off";

benchmark on_and_off(std::string id, std::string question, std::string unit, const std::string& workload,
                     const std::vector<std::int64_t>& parameters) {
  return {.id = std::move(id),
          .question = std::move(question) + ", with the search for lock cycles and without",
          .unit = std::move(unit),
          .contenders = {own_peer("as it is", workload, parameters),
                         own_peer(without, workload, parameters, {.from = side::other, .environment = without})}};
}

const registration detection([](suite& all) {
  const goal no_dearer{goal::relation::at_most, 1.03, side::other};
  benchmark one = on_and_off("D1", "a mutex that nobody else wants", "ns", "mutex", {});
  one.goals = {no_dearer};
  all.add(std::move(one));
  all.add(on_and_off("D2", "a read lock that nobody disputes", "ns", "read_lock", {}));
  one = on_and_off("D3", "one mutex, 8 goroutines", "M/s", "contended", {8, current_settings().duration.count()});
  one.is_more_better = true;
  one.goals = {{goal::relation::at_least, 0.97, side::other}};
  all.add(std::move(one));
  one = on_and_off("D4", "10,000 goroutines lock one mutex 100 times each", "ms", "crowd", {10'000, 100});
  one.goals = {no_dearer};
  all.add(std::move(one));

  // A lock and nothing else is the worst that can be watched, two that are around something are what one watches.
  for (const int entries : {1000, 0}) {
    const auto under = [entries](const std::string& setting, side from) {
      return own_peer(setting, "nested", {entries}, {.from = from, .environment = setting});
    };
    one = {.id = entries != 0 ? "D5" : "D6",
           .question = std::string("two mutexes, one inside the other, each around ") +
                       (entries != 0 ? "a look-up in a map of 1,000" : "nothing") + ", watched",
           .unit = "ns",
           .goals = {{goal::relation::at_most, 3, side::other}},
           .contenders = {under("TURNKEY_LOCK_ORDER=1", side::ours),
                          own_peer("not watched", "nested", {entries}, {.from = side::other}),
                          under("TURNKEY_HELD=10ms", side::also_ours), under("TURNKEY_SLOW_WAIT=5s", side::also_ours),
                          under("TURNKEY_OS_MUTEX=1", side::also_ours)}};
    all.add(one);
  }
});

}  // namespace
