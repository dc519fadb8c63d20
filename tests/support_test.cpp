// The harness itself: a test that hangs is ended with its name, a leak is a failure.
#include "support.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <ostream>
#include <string>

namespace {

TEST(support, scale_follows_the_environment) {
  ASSERT_EQ(setenv("STRAIT_TEST_SCALE", "0.5", 1), 0);
  EXPECT_EQ(strait_test::scaled(2000), 1000u * STRAIT_TEST_SCALE_PERCENT / 100);
  EXPECT_EQ(strait_test::scaled(1), 1u);
  ASSERT_EQ(unsetenv("STRAIT_TEST_SCALE"), 0);
}

// The next two run alone, in a child of the tests below: they must fail.
TEST(support, DISABLED_hangs) {
  strait_test_dump = [] { std::cerr << "the dump\n"; };
  for (;;) pause();
}

TEST(support, DISABLED_leaks) {
  strait_test_leaks = [](std::ostream& why) {
    why << "3 goroutines";
    return false;
  };
}

struct outcome {
  int status;
  std::string output;
};

outcome run_alone(const std::string& test, const std::string& environment) {
  const std::string command = environment + " '" + testing::internal::GetArgvs().front() +
                              "' --gtest_also_run_disabled_tests --gtest_output="
                              " --gtest_filter=support.DISABLED_" +
                              test + " 2>&1";
  FILE* child = popen(command.c_str(), "r");
  if (!child) return {-1, "popen failed"};
  std::string output;
  char buffer[4096];
  while (auto count = fread(buffer, 1, sizeof buffer, child)) output.append(buffer, count);
  return {pclose(child), output};
}

TEST(support, the_watchdog_ends_a_test_that_hangs_and_names_it) {
  const auto [status, output] = run_alone("hangs", "GTEST_OUTPUT= STRAIT_TEST_LIMIT=1");
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("watchdog: test support.DISABLED_hangs ran 1 s\nthe dump\n"),
            std::string::npos)
      << output;
}

TEST(support, a_leak_fails_the_test_that_left_it) {
  const auto [status, output] = run_alone("leaks", "GTEST_OUTPUT=");
  EXPECT_NE(status, 0);
  EXPECT_NE(output.find("left behind by the test: 3 goroutines"), std::string::npos) << output;
  EXPECT_NE(output.find("1 FAILED TEST"), std::string::npos) << output;
}

}  // namespace
