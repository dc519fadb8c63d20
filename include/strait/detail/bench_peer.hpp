// A contender that is another program, in whatever language: it lists its workloads, and measures
// one once when it is asked to. It is started anew for each round, so that it takes turns with the
// others; it warms up by itself.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::bench::detail {

/// The positive number behind the first `from` characters of a flag.
inline int number_in(const std::string& flag, std::size_t from) {
  char* end = nullptr;
  const long n = std::strtol(flag.c_str() + from, &end, 10);
  if (*end != '\0' || n < 1 || n > 100'000) {
    throw std::runtime_error(flag + ": a number from 1 to 100000 is wanted");
  }
  return static_cast<int>(n);
}

class peer {
 public:
  peer(std::string who, std::string command) : who_(std::move(who)), command_(std::move(command)) {}

  const std::string& who() const noexcept { return who_; }

  std::vector<std::pair<std::string, int>> workloads() const {
    std::istringstream lines(output("list"));
    std::vector<std::pair<std::string, int>> all;
    std::string workload;
    int threads = 0;
    while (lines >> workload >> threads) all.emplace_back(workload, threads);
    if (!lines.eof()) throw std::runtime_error(command_ + " list: cannot read what it printed");
    return all;
  }

  /// The seconds of one item.
  double measure(const std::string& workload, int threads) const {
    const std::string what = workload + " " + std::to_string(threads);
    const std::string text = output(what);
    char* end = nullptr;
    const double seconds = std::strtod(text.c_str(), &end);
    if (end == text.c_str() || !(seconds > 0)) {
      throw std::runtime_error(command_ + " " + what + ": printed no time");
    }
    return seconds;
  }

 private:
  std::string output(const std::string& arguments) const {
    const std::string line = command_ + " " + arguments;
    std::FILE* const pipe = ::popen(line.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("cannot start " + line);
    std::string text;
    char piece[512];
    while (const std::size_t n = std::fread(piece, 1, sizeof piece, pipe)) text.append(piece, n);
    const int status = ::pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error(line + ": failed");
    return text;
  }

  std::string who_, command_;
};

}  // namespace strait::inline STRAIT_ABI::bench::detail
