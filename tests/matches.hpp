// Whether a text has a part that a pattern describes, and which text it was if not.
#pragma once

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace support {

// ^ and $ are the ends of lines.
inline testing::AssertionResult matches(const std::string& text, const std::string& pattern) {
  if (std::regex_search(text, std::regex(pattern, std::regex::multiline))) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "nothing matches " << pattern << " in\n" << text;
}

}  // namespace support
