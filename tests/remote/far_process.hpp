// Other processes for the tests of remote channels: this same program, told by its environment to
// run one disabled test that plays the far side.
#pragma once

#include <gtest/gtest.h>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

extern char** environ;

namespace strait_test {

/// A running copy of this program that plays `role`: the test `Far.DISABLED_<role>`.
class far_process {
 public:
  far_process(const std::string& role, const std::map<std::string, std::string>& settings) {
    std::vector<std::string> env;
    for (char** e = environ; *e != nullptr; ++e) {
      if (std::string(*e).rfind("GTEST_", 0) != 0) env.emplace_back(*e);
    }
    for (const auto& [key, value] : settings) env.push_back("FAR_" + key + "=" + value);
    std::vector<std::string> args = {"/proc/self/exe", "--gtest_filter=Far.DISABLED_" + role,
                                     "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
    std::vector<char*> envp, argv;
    for (auto& e : env) envp.push_back(e.data());
    for (auto& a : args) argv.push_back(a.data());
    envp.push_back(nullptr);
    argv.push_back(nullptr);
    if (::posix_spawn(&pid_, "/proc/self/exe", nullptr, nullptr, argv.data(), envp.data()) != 0) {
      throw std::runtime_error("cannot start " + role);
    }
  }
  far_process(far_process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  far_process& operator=(far_process&&) = delete;
  ~far_process() {
    if (pid_ > 0) {
      kill();
      wait();
    }
  }

  void kill() { ::kill(pid_, SIGKILL); }
  void stop() { ::kill(pid_, SIGSTOP); }
  void go_on() { ::kill(pid_, SIGCONT); }
  /// Its exit status; blocks. 128 + n if signal n ended it.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

/// In a far process: what the near one set.
inline std::string far_setting(const std::string& key) {
  const char* const value = std::getenv(("FAR_" + key).c_str());
  return value != nullptr ? value : "";
}
inline int far_number(const std::string& key) { return std::atoi(far_setting(key).c_str()); }

}  // namespace strait_test
