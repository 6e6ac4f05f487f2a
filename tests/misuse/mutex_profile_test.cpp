// TURNKEY_MUTEX_PROFILE: the file is written however the process ends, and a mistake in it is said once.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "misuse/child.hpp"

namespace {

using misuse::outcome;
using misuse::run;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

// The blocks are stored, so names can be read as they are.
void expect_profile(const std::string& path) {
  const std::string content = content_of(path);
  EXPECT_EQ(content.substr(0, 3), "\x1f\x8b\x08") << path;
  EXPECT_NE(content.find("turnkey::mutex::unlock()"), std::string::npos);
  EXPECT_NE(content.find("hold_on()"), std::string::npos);
}

std::string a_path(const std::string& name) {
  return ::testing::TempDir() + name + '.' + std::to_string(getpid()) + ".pb.gz";
}

TEST(MutexProfileVariable, WritesTheProfileWhenMainReturns) {
  const std::string path = a_path("main_returns");
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=" + path});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.err, "") << end;
  expect_profile(path);
  std::filesystem::remove(path);
}

TEST(MutexProfileVariable, WritesTheProfileWhenAGoroutineExits) {
  const std::string path = a_path("goroutine_exits");
  const outcome end = run("mutex_profile", {"exit_in_goroutine"}, {"TURNKEY_MUTEX_PROFILE=" + path});
  EXPECT_EQ(end.status, 3) << end;
  expect_profile(path);
  std::filesystem::remove(path);
}

TEST(MutexProfileVariable, SaysInOneLineThatTheFileCannotBeWrittenAndGoesOn) {
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=/nonexistent/folder/x.pb.gz"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.out, "done\n") << end;
  EXPECT_EQ(end.err,
            "turnkey: TURNKEY_MUTEX_PROFILE=/nonexistent/folder/x.pb.gz: the file cannot be written; there will be no "
            "contention profile\n");
}

TEST(MutexProfileVariable, TakesAFraction) {
  const std::string path = a_path("fraction");
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=" + path, "TURNKEY_MUTEX_PROFILE_FRACTION=no"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_NE(end.err.find("TURNKEY_MUTEX_PROFILE_FRACTION=no is ignored: it takes an integer from 1 to"), end.err.npos)
      << end;
  expect_profile(path);
  std::filesystem::remove(path);
}

}  // namespace
