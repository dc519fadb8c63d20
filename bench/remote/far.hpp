// The other process of a measurement: this program again, started with --far=ROLE.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace far {

class process {
 public:
  process(const std::string& role, const std::string& where, unsigned workers) {
    const std::string threads = std::to_string(workers);
    std::string flag = "--far=" + role, at = where, count = threads, self = "/proc/self/exe";
    char* const arguments[] = {self.data(), flag.data(), at.data(), count.data(), nullptr};
    if (::posix_spawn(&pid_, self.c_str(), nullptr, nullptr, arguments, environ) != 0) {
      throw std::runtime_error("cannot start the far process");
    }
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() { wait(); }

  /// Until it has ended; false if it failed.
  bool wait() noexcept {
    if (pid_ == 0) return true;
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace far
