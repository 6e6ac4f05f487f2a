// The same random calls on a watched map and on one that is not.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <iterator>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include <turnkey/checked_map.hpp>

#include "support.hpp"

namespace support {

template <class Map>
class twin_maps {
 public:
  // Reads, and so may be called by several at once.
  void look(dice& luck) const {
    const int key = luck.roll(keys);
    const bool is_there = plain_.contains(key);
    switch (luck.roll(5)) {
      case 0: {
        EXPECT_EQ(watched_.contains(key), is_there);
        EXPECT_EQ(watched_.count(key), plain_.count(key));
        break;
      }
      case 1:
      case 2: {
        const auto at = watched_.find(key);
        EXPECT_EQ(at != watched_.end() ? at->second : -1, is_there ? plain_.at(key) : -1);
        break;
      }
      case 3:
        if (is_there) {
          EXPECT_EQ(watched_.at(key), plain_.at(key));
        } else {
          EXPECT_THROW(static_cast<void>(watched_.at(key)), std::out_of_range);
        }
        break;
      default: expect_the_same();
    }
    EXPECT_EQ(watched_.size(), plain_.size());
    EXPECT_EQ(watched_.empty(), plain_.empty());
  }

  void change(dice& luck) {
    const int key = luck.roll(keys);
    const int value = luck.roll(1000);
    const bool is_there = plain_.contains(key);
    switch (luck.roll(14)) {
      case 0:
      case 1: EXPECT_EQ(watched_.erase(key), plain_.erase(key)); break;
      case 2: EXPECT_EQ(watched_.try_emplace(key, value).second, plain_.try_emplace(key, value).second); break;
      case 3: {
        const auto [at, is_new] = watched_.insert_or_assign(key, value);
        EXPECT_EQ(is_new, plain_.insert_or_assign(key, value).second);
        EXPECT_EQ(*at, (std::pair<const int, int>(key, value)));
        break;
      }
      case 4:
      case 5: EXPECT_EQ(++watched_[key], ++plain_[key]); break;
      case 6: EXPECT_EQ(watched_.emplace(key, value).second, plain_.emplace(key, value).second); break;
      case 7: EXPECT_EQ(watched_.insert({key, value}).second, plain_.insert({key, value}).second); break;
      case 8:
        if (const auto at = watched_.find(key); at != watched_.end()) {
          watched_.erase(at);
          plain_.erase(key);
        }
        break;
      case 9:
        if (is_there) watched_.at(key) = plain_.at(key) = value;
        break;
      case 10: assign_while_iterating(value); break;
      case 11: erase_while_iterating(value); break;
      case 12: change_all(luck); break;
      default: {
        // An iterator is good while no element comes or goes.
        const auto at = watched_.find(key);
        for (int i = 0; i < 3; ++i) {
          if (is_there) watched_[key] = plain_[key] = i;
          watched_.erase(-1);
        }
        EXPECT_EQ(at != watched_.end() ? at->second : -1, is_there ? plain_.at(key) : -1);
      }
    }
  }

  void expect_the_same() const {
    EXPECT_EQ(std::map(watched_.begin(), watched_.end()), std::map(plain_.begin(), plain_.end()));
  }

 private:
  using checked = turnkey::checked_map<int, int, Map>;
  static constexpr int keys = 60;

  void assign_while_iterating(int value) {
    for (auto& [key, its] : watched_) {
      watched_[key] = value + key;
      EXPECT_EQ(its, value + key);
      plain_.at(key) = value + key;
    }
  }
  void erase_while_iterating(int value) {
    const auto is_doomed = [value](const auto& each) { return (each.first + each.second + value) % 5 == 0; };
    std::vector<int> doomed;
    for (const auto& each : plain_) {
      if (is_doomed(each)) doomed.push_back(each.first);
    }
    if (value % 2 == 0) {
      EXPECT_EQ(erase_if(watched_, is_doomed), doomed.size());
    } else {
      for (auto at = watched_.begin(); at != watched_.end();) at = is_doomed(*at) ? watched_.erase(at) : std::next(at);
    }
    for (const int key : doomed) plain_.erase(key);
  }
  void change_all(dice& luck) {
    switch (luck.roll(12)) {
      case 0:
        watched_.clear();
        plain_.clear();
        break;
      case 1:
        if constexpr (requires { plain_.reserve(1U); }) watched_.reserve(static_cast<std::size_t>(luck.roll(200)));
        break;
      case 2: watched_ = checked(std::as_const(watched_)); break;
      case 3: {
        checked other{{-2, 0}};
        swap(other, watched_);
        EXPECT_EQ(watched_.size(), 1U);
        watched_ = std::move(other);
        break;
      }
      default: break;
    }
  }

  checked watched_;
  Map plain_;
};

}  // namespace support
