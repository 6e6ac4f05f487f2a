// TURNKEY_MUTEX_PROFILE: the file is written however the process ends, and a mistake in it is said once.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
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

// What the reader prints.
std::string read_profile(const std::string& what, const std::string& path) {
  std::string text;
  std::array<char, 4096> part{};
  std::FILE* const pipe =
      popen(("python3 " TURNKEY_TESTS_DIR "/pprof_read.py " + what + " " + path + " 2>&1").c_str(), "r");
  while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), size);
  EXPECT_EQ(pclose(pipe), 0) << text;
  return text;
}

// The number of the line of a program's source that ends in `end`.
int line_of(const std::string& program, const std::string& end) {
  std::ifstream source(TURNKEY_TESTS_DIR "/misuse/programs/" + program);
  int number = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    if (line.ends_with(end)) return number;
  }
  return 0;
}

TEST(MutexProfileVariable, NamesFileAndLineOfTheUnlock) {
  if (misuse::is_asan) GTEST_SKIP() << "there are no source lines under AddressSanitizer";
  const std::string path = a_path("lines");
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=" + path});
  ASSERT_EQ(end.status, 0) << end;
  const std::string text = read_profile("lines", path);
  const std::string place = "mutex_profile.cpp:" + std::to_string(line_of("mutex_profile.cpp", "mu.unlock();"));
  EXPECT_NE(text.find("hold_on() at "), text.npos) << text;
  EXPECT_NE(text.find(place), text.npos) << text;
  std::filesystem::remove(path);
}

TEST(MutexProfileVariable, SaysHowLongLocksAreHeldIfItIsAskedTo) {
  const std::string path = a_path("held");
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=" + path, "TURNKEY_MUTEX_PROFILE_HELD=1"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_EQ(end.err, "") << end;
  EXPECT_EQ(read_profile("header", path)
                .find("sample_type contentions/count delay/nanoseconds holds/count held/nanoseconds\n"),
            0u);
  // The lock around everything is held for 20 ms by the one, and hardly at all by the one that has waited for it.
  std::istringstream samples(read_profile("samples", path));
  std::int64_t longest = 0;
  std::int64_t all = 0;
  for (std::string line; std::getline(samples, line);) {
    std::istringstream fields(line);
    std::int64_t contentions = 0;
    std::int64_t delay = 0;
    std::int64_t holds = 0;
    std::int64_t held = 0;
    fields >> contentions >> delay >> holds >> held;
    all += holds;
    if (line.find("hold_on()") != line.npos && held > longest) longest = held;
  }
  EXPECT_EQ(all, 2);
  EXPECT_GE(longest, 20'000'000);
  std::filesystem::remove(path);
}

TEST(MutexProfileVariable, SaysNothingOfHoldsUnlessItIsAskedTo) {
  const std::string path = a_path("not_held");
  const outcome end = run("mutex_profile", {}, {"TURNKEY_MUTEX_PROFILE=" + path, "TURNKEY_MUTEX_PROFILE_HELD=yes"});
  EXPECT_EQ(end.status, 0) << end;
  EXPECT_NE(end.err.find("TURNKEY_MUTEX_PROFILE_HELD=yes"), end.err.npos) << end;
  EXPECT_EQ(read_profile("header", path).find("sample_type contentions/count delay/nanoseconds\n"), 0u);
  std::filesystem::remove(path);
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
