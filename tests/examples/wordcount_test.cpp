// test: serial
//
// examples/wordcount as its users run it: as processes. Every table is compared with the shell
// pipeline that defines it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <strait/remote.hpp>
#include <strait/strait.hpp>

#include "support.hpp"

namespace st = strait;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

// Not in the anonymous namespace: g++ 12 warns of coroutine frames that hold such a type.
namespace wordcount_test {
struct other_job {
  std::uint64_t id;
  std::string text;
};
struct other_result {
  std::uint64_t id;
  std::vector<std::string> words;
};
}  // namespace wordcount_test

namespace {

using wordcount_test::other_job;
using wordcount_test::other_result;
using strings = std::vector<std::string>;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

fs::path source_dir() {
  const char* const dir = std::getenv("STRAIT_SOURCE_DIR");
  return dir != nullptr ? dir : ".";
}

std::string wordcount() {
  const char* const dir = std::getenv("STRAIT_BIN_DIR");
  return std::string(dir != nullptr ? dir : ".") + "/wordcount";
}

class temp_folder {
 public:
  temp_folder() {
    std::string name = (fs::temp_directory_path() / "wordcount_test.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;
  ~temp_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  std::string string() const { return path_.string(); }

 private:
  fs::path path_;
};

/// A program under way, its output in files. Killed, with nothing said, if it is still there at the
/// end of the test.
class process {
 public:
  explicit process(const strings& words, const std::function<void()>& in_child = {}) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string out = (folder_ / "out").string(), err = (folder_ / "err").string();
    pid_ = fork();
    if (pid_ == 0) {
      const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
      const int to = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      const int errors = open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
      dup2(in, 0);
      dup2(to, 1);
      dup2(errors, 2);
      if (in_child) in_child();
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    if (pid_ < 0) throw std::runtime_error("fork");
    fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    if (fd_ < 0) throw std::runtime_error("pidfd_open");
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    if (!ended_) {
      kill(SIGKILL);
      wait();
    }
    close(fd_);
  }

  pid_t pid() const { return pid_; }
  void kill(int signal) const { ::kill(pid_, signal); }
  bool running() {
    pollfd end{fd_, POLLIN, 0};
    return !ended_ && poll(&end, 1, 0) == 0;
  }
  /// Its exit status, -signal, or 1000 if it does not end in time; then it is killed.
  int wait(std::chrono::milliseconds limit = 100s) {
    if (ended_) return status_;
    pollfd end{fd_, POLLIN, 0};
    const bool in_time = poll(&end, 1, static_cast<int>(limit.count())) == 1;
    if (!in_time) kill(SIGKILL);
    int raw = 0;
    waitpid(pid_, &raw, 0);
    ended_ = true;
    status_ = !in_time ? 1000 : WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
    // Also of the workers, whose status nobody sees.
    EXPECT_EQ(err().find("Sanitizer"), std::string::npos) << err();
    return status_;
  }
  std::string out() const { return read_file(folder_ / "out"); }
  std::string err() const { return read_file(folder_ / "err"); }

  /// Waits until its errors match, and gives the first group.
  std::string wait_for(const std::string& pattern) {
    const std::regex wanted(pattern);
    for (;;) {
      const bool last_look = !running();
      const std::string text = err();
      std::smatch found;
      if (std::regex_search(text, found, wanted)) return found[1];
      if (last_look) throw std::runtime_error("ended without '" + pattern + "': " + text);
      std::this_thread::yield();
    }
  }
  /// The processes that it has started, as far as they live.
  std::vector<pid_t> children() const {
    std::vector<pid_t> found;
    std::error_code gone;
    const fs::path tasks = "/proc/" + std::to_string(pid_) + "/task";
    for (fs::directory_iterator task(tasks, gone), end; !gone && task != end;
         task.increment(gone)) {
      std::istringstream list(read_file(task->path() / "children"));
      for (pid_t child; list >> child;) found.push_back(child);
    }
    return found;
  }

 private:
  temp_folder folder_;
  pid_t pid_ = -1;
  int fd_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

strings operator+(strings a, const strings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The table as the issue defines it, less the padding of uniq.
std::string pipeline(const strings& paths) {
  process shell(strings{"/bin/sh", "-c",
                        "find \"$@\" -type f | while IFS= read -r f; do cat \"$f\"; echo; done | "
                        "LC_ALL=C tr -cs A-Za-z '\\n' | LC_ALL=C tr A-Z a-z | sed '/^$/d' | "
                        "LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | "
                        "awk '{print $1, $2}'",
                        "sh"} +
                paths);
  EXPECT_EQ(shell.wait(), 0) << shell.err();
  return shell.out();
}

std::string first_lines(const std::string& text, std::size_t count) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < count && at < text.size(); ++i) at = text.find('\n', at) + 1;
  return text.substr(0, at);
}

/// The number in front of `what` in the report.
std::uint64_t reported(const std::string& report, const std::string& what) {
  std::smatch found;
  if (!std::regex_search(report, found, std::regex("(\\d+) (?:\\w+ )?" + what))) {
    ADD_FAILURE() << "no '" << what << "' in: " << report;
    return 0;
  }
  return std::stoull(found[1]);
}

/// Text that has everything which could go wrong: words of all lengths over every border of a job,
/// capitals, bytes that are no UTF-8, no newline at the end, empty files.
void write_text(const temp_folder& folder, std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::string between[] = {
      " ", "\n", ", ", "--", "1", "\xe9", "\xc3\xa9", "'", std::string(1, 0)};
  std::size_t written = 0;
  for (int file = 0; written < bytes; ++file) {
    const std::size_t size = file % 7 == 0 ? bytes / 3 : random() % 5000;
    std::string text;
    while (text.size() < size) {
      // Short words are frequent, long ones rare: as in any text.
      const std::uint64_t rank = std::uint64_t{1} << random() % 15;
      for (std::uint64_t n = random() % rank;; n /= 26) {
        text += static_cast<char>((random() % 8 == 0 ? 'A' : 'a') + n % 26);
        if (n < 26) break;
      }
      text += between[random() % std::size(between)];
    }
    if (file % 2 == 0 && !text.empty()) text.pop_back();
    written += text.size() + 1;
    write_file(folder / ("part" + std::to_string(file % 5) + "/text" + std::to_string(file)), text);
  }
  write_file(folder / "empty", "");
}

struct outcome {
  int status;
  std::string out, err;
};
outcome run(const strings& arguments, std::chrono::milliseconds limit = 200s) {
  process p(strings{wordcount()} + arguments);
  const int status = p.wait(limit);
  return {status, p.out(), p.err()};
}

/// One line that contains `what`, a status that is not 0, within 5 s.
void expect_refusal(const outcome& o, const std::string& what) {
  EXPECT_NE(o.status, 0);
  EXPECT_LT(o.status, 1000) << "did not end within 5 s";
  EXPECT_GT(o.status, 0) << "ended by a signal";
  EXPECT_EQ(o.out, "");
  EXPECT_NE(o.err.find(what), std::string::npos) << "no '" << what << "' in: " << o.err;
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_TRUE(o.err.starts_with("wordcount: ")) << o.err;
}
void expect_refused(const strings& arguments, const std::string& what) {
  SCOPED_TRACE(testing::PrintToString(arguments));
  expect_refusal(run(arguments, 5s), what);
}

TEST(Wordcount, NearFarAndTheShellAgree) {
  strait_test::extend_limit(600s);
  temp_folder text;
  write_text(text, strait_test::scaled(8'000'000), 1);
  const strings paths{text.string(), "/usr/share/common-licenses"};
  const std::string expected = pipeline(paths);
  ASSERT_GT(expected.size(), 1000u);

  const outcome near = run(strings{"run", "--near", "--top", "0", "--verify"} + paths);
  EXPECT_EQ(near.status, 0) << near.err;
  EXPECT_TRUE(near.out == expected);
  const outcome far = run(strings{"run", "--top", "0", "--verify"} + paths);
  EXPECT_EQ(far.status, 0) << far.err;
  EXPECT_TRUE(far.out == expected);
  EXPECT_GE(reported(far.err, "joined"), 1u);
  EXPECT_LE(reported(far.err, "joined"), 3u);
  EXPECT_EQ(reported(far.err, "died"), 0u);
  EXPECT_EQ(reported(far.err, "redelivered"), 0u);

  const outcome top = run(strings{"run", "--workers", "1"} + paths);
  EXPECT_EQ(top.out, first_lines(expected, 10));
  EXPECT_EQ(reported(top.err, "joined"), 1u);
}

TEST(Wordcount, AWordMayBeLongerThanAnyMessage) {
  temp_folder text;
  const std::string giant(3'000'000, 'g');
  const std::string border(128 * 1024, 'b');
  write_file(text / "a", "one " + giant + " two");
  write_file(text / "b", giant);
  write_file(text / "c", border);
  write_file(text / "d", border + "b");
  write_file(text / "e", border.substr(1) + " " + border.substr(2));
  const outcome o = run({"run", "--top", "0", "--verify", text.string()});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_TRUE(o.out == pipeline({text.string()}));
}

TEST(Wordcount, NothingButDifferentWordsFit) {
  temp_folder text;
  std::string words;  // the shortest first, so that the first jobs have the most of them
  for (std::size_t length = 1; length <= 4; ++length) {
    std::string word(length, 'a');
    for (bool more = true; more && words.size() < 400'000;) {
      words += word + ' ';
      std::size_t i = length;
      while (i > 0 && word[i - 1] == 'z') word[--i] = 'a';
      more = i > 0;
      if (more) ++word[i - 1];
    }
  }
  write_file(text / "words", words);
  const outcome o = run({"run", "--top", "0", "--verify", text.string()});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_TRUE(o.out == pipeline({text.string()}));
}

TEST(Wordcount, WhatCannotBeReadIsSkippedAndCounted) {
  temp_folder text;
  write_file(text / "good", "a good file");
  write_file(text / "bad", "not to be seen");
  write_file(text / "closed/hidden", "nor this");
  fs::create_symlink("good", text / "link");
  fs::create_symlink(".", text / "loop");
  fs::permissions(text / "bad", fs::perms::none);
  fs::permissions(text / "closed", fs::perms::none);
  fs::permissions(text.string(), fs::perms::all);
  // Root may read everything, so it becomes nobody.
  process p({wordcount(), "run", "--near", "--verify", text.string()}, [] {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(126);
  });
  EXPECT_EQ(p.wait(), 0) << p.err();
  EXPECT_EQ(p.out(), "1 a\n1 file\n1 good\n");
  EXPECT_EQ(reported(p.err(), "skipped"), 2u);
  fs::permissions(text / "closed", fs::perms::owner_all);

  write_file(text / "good", "");
  // Opened, and then it cannot be read.
  const outcome o = run({"run", "--near", (text / "good").string(), "/proc/self/mem"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(reported(o.err, "skipped"), 1u);
}

TEST(Wordcount, TheTwoHalvesByHand) {
  temp_folder text;
  write_text(text, 2'000'000, 2);
  process serve({wordcount(), "serve", "--listen", "tcp://127.0.0.1:0", "--top", "0", "--verify",
                 text.string()});
  const std::string address = serve.wait_for("(tcp://127\\.0\\.0\\.1:\\d+)\n");
  {
    // The only worker dies: the coordinator waits for another.
    process first({wordcount(), "work", address});
    first.kill(SIGKILL);
    first.wait();
  }
  EXPECT_TRUE(serve.running());
  process second({wordcount(), "work", address});
  process third({wordcount(), "work", address});
  EXPECT_EQ(serve.wait(), 0) << serve.err();
  EXPECT_TRUE(serve.out() == pipeline({text.string()}));
  // One of the two may have come too late to find anybody.
  const int status = second.wait(5s) + third.wait(5s);
  EXPECT_LE(status, 1) << second.err() << third.err();
}

/// The processor time that a process has used; without an end if it is gone.
std::chrono::nanoseconds worked(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    return std::chrono::nanoseconds::max();
  }
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

TEST(Wordcount, AKilledWorkerLosesNothing) {
  strait_test::extend_limit(900s);
  temp_folder text;
  write_text(text, std::max<std::size_t>(strait_test::scaled(8'000'000), 3'000'000), 3);
  const outcome whole = run({"run", "--workers", "3", "--top", "0", "--verify", text.string()});
  ASSERT_EQ(whole.status, 0) << whole.err;
  ASSERT_TRUE(whole.out == pipeline({text.string()}));

  // What one worker has to do, about: a run is three of them and the coordinator.
  rusage before{}, after{};
  getrusage(RUSAGE_CHILDREN, &before);
  ASSERT_EQ(run({"run", "--workers", "3", "--top", "0", text.string()}).status, 0);
  getrusage(RUSAGE_CHILDREN, &after);
  const auto of = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  const std::chrono::duration<double> share = (of(after.ru_utime) - of(before.ru_utime)) / 4.0;

  std::random_device seed;
  const auto chosen = seed();
  std::mt19937 random(chosen);
  std::uint64_t died = 0, redelivered = 0;
  const std::uint64_t runs = std::max<std::uint64_t>(strait_test::scaled(50), 5);
  // A few runs may by chance hit nobody at work: then a few more.
  for (std::uint64_t i = 0; i < runs || (redelivered == 0 && i < 5 * runs); ++i) {
    SCOPED_TRACE("run " + std::to_string(i) + " of seed " + std::to_string(chosen));
    process p({wordcount(), "run", "--workers", "3", "--top", "0", text.string()});
    std::vector<pid_t> workers;
    while (workers.size() < 3 && p.running()) workers = p.children();
    ASSERT_EQ(workers.size(), 3u) << p.err();
    // At a random point of its work: once it has worked for that long.
    const pid_t victim = workers[random() % 3];
    const auto point = share * std::uniform_real_distribution<>(0, 0.9)(random);
    while (p.running() && worked(victim) < point) std::this_thread::yield();
    ::kill(victim, SIGKILL);
    if (random() % 2 == 0) ::kill(workers[random() % 3], SIGKILL);
    ASSERT_EQ(p.wait(), 0) << p.err();
    EXPECT_TRUE(p.out() == whole.out);
    died += reported(p.err(), "died");
    redelivered += reported(p.err(), "redelivered");
  }
  std::cout << died << " workers died in " << runs << " runs, " << redelivered
            << " jobs were redelivered\n";
  EXPECT_GE(died, 1u);
  EXPECT_GE(redelivered, 1u);
}

TEST(Wordcount, WithoutAnyWorkerRunGivesUp) {
  temp_folder text;
  write_text(text, 30'000'000, 4);
  process p({wordcount(), "run", "--workers", "2", text.string()});
  std::vector<pid_t> workers;
  while (workers.size() < 2 && p.running()) workers = p.children();
  ASSERT_EQ(workers.size(), 2u) << p.err();
  for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  const int status = p.wait(5s);
  expect_refusal({status, p.out(), p.err()}, "no worker is left");
}

TEST(Wordcount, NoWorkerOutlivesTheCoordinator) {
  temp_folder text;
  write_text(text, 30'000'000, 5);
  std::vector<pid_t> workers;
  {
    process p({wordcount(), "run", "--workers", "2", text.string()});
    while (workers.size() < 2 && p.running()) workers = p.children();
    ASSERT_EQ(workers.size(), 2u) << p.err();
    p.kill(SIGKILL);
    p.wait();
  }
  const auto began = std::chrono::steady_clock::now();
  for (const pid_t worker : workers) {
    while (read_file("/proc/" + std::to_string(worker) + "/cmdline").find("work") !=
           std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now() - began, 5s);
      std::this_thread::yield();
    }
  }
}

TEST(Wordcount, RefusesBadArguments) {
  temp_folder empty;
  const std::string path = empty.string();
  expect_refused({}, "subcommand");
  expect_refused({"--bogus", "run", "--near", path}, "--bogus");
  expect_refused({"run", "--bogus", path}, "--bogus");
  expect_refused({"run", "--near"}, "PATH");
  expect_refused({"run", "--workers", "0", path}, "--workers");
  expect_refused({"run", "--workers", "many", path}, "--workers");
  expect_refused({"run", "--top", "-1", path}, "--top");
  expect_refused({"serve", path}, "--listen");
  expect_refused({"work"}, "ADDRESS");

  expect_refused({"run", path + "/nothing"}, path + "/nothing");
  expect_refused({"run", "--near", "/usr/share/common-licenses", path + "/nothing"}, "/nothing");
  expect_refused({"run", path}, path);
  fs::create_directories(empty / "a/b/c");
  expect_refused({"run", path}, path);
  expect_refused({"run", "/dev/null"}, "/dev/null");

  const std::string text = "/usr/share/common-licenses";
  for (const char* const address : {"127.0.0.1:7070", "tcp://127.0.0.1", "tcp://127.0.0.1:seven",
                                    "tcp://127.0.0.1:70707", "udp://127.0.0.1:7070", "tcp://"}) {
    expect_refused({"work", address}, address);
    expect_refused({"serve", "--listen", address, text}, address);
  }
  process full({"/bin/sh", "-c", "exec \"$0\" run --near " + text + " >/dev/full", wordcount()});
  EXPECT_EQ(full.wait(10s), 1);
  EXPECT_NE(full.err().find("cannot write the table"), std::string::npos) << full.err();
}

TEST(Wordcount, HelpSaysWhatAWordIs) {
  const outcome help = run({"--help"}, 5s);
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.err, "");
  for (const char* const word :
       {"maximal run of ASCII letters", "end of a file ends a word", "run", "serve", "work",
        "--listen", "--workers", "--top", "--verify", "--near"}) {
    EXPECT_NE(help.out.find(word), std::string::npos) << word;
  }
}

/// Runs wordcount while this process is the node it meets.
outcome run_beside(const strings& arguments) { return run(arguments, 5s); }

st::task<> unknown_name() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  const std::string address = node.address();
  const strings arguments{"work", address};
  const outcome o = co_await st::blocking([&] { return run_beside(arguments); });
  expect_refusal(o, address);
  expect_refusal(o, "jobs");
}
TEST(Wordcount, RefusesAnUnknownName) { st::run(unknown_name); }

st::task<> another_type() {
  st::node node;
  co_await node.listen("tcp://127.0.0.1:0");
  auto [in, jobs] = st::make_chan<other_job>(1);
  auto [results, out] = st::make_chan<other_result>(1);
  node.serve("jobs", std::move(jobs));
  node.serve("results", std::move(results));
  const strings arguments{"work", node.address()};
  const outcome o = co_await st::blocking([&] { return run_beside(arguments); });
  expect_refusal(o, "jobs");
  expect_refusal(o, "text");
}
TEST(Wordcount, RefusesAnotherType) { st::run(another_type); }

st::task<> taken_and_free_port() {
  std::string address;
  {
    st::node node;
    co_await node.listen("tcp://127.0.0.1:0");
    address = node.address();
    const strings arguments{"serve", "--listen", address, "/usr/share/common-licenses"};
    const outcome o = co_await st::blocking([&] { return run_beside(arguments); });
    expect_refusal(o, address);
    expect_refusal(o, "in use");
  }
  const strings arguments{"work", address};
  const outcome o = co_await st::blocking([&] { return run_beside(arguments); });
  expect_refusal(o, address);
}
TEST(Wordcount, RefusesATakenPortAndAFreeOne) { st::run(taken_and_free_port); }

/// The processor time that a process has used, in ticks of 10 ms.
std::uint64_t ticks_of(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  std::uint64_t user = 0, system = 0;
  for (int i = 0; i < 11; ++i) fields >> field;
  fields >> user >> system;
  return user + system;
}

/// A worker in the middle of the work of a coordinator that `signal` is sent to.
void expect_noticed(int signal) {
  SCOPED_TRACE(signal);
  temp_folder text;
  write_text(text, 40'000'000, 6);
  process serve({wordcount(), "serve", "--listen", "tcp://127.0.0.1:0", text.string()});
  const std::string address = serve.wait_for("(tcp://127\\.0\\.0\\.1:\\d+)\n");
  process worker({wordcount(), "work", address});
  while (ticks_of(worker.pid()) < 10) {
    ASSERT_TRUE(serve.running() && worker.running()) << serve.err() << worker.err();
    std::this_thread::yield();
  }
  serve.kill(signal);
  const int status = worker.wait(5s);
  expect_refusal({status, worker.out(), worker.err()}, address);
}
TEST(Wordcount, AWorkerNoticesThatItsCoordinatorDied) { expect_noticed(SIGKILL); }
TEST(Wordcount, AWorkerNoticesThatItsCoordinatorIsSilent) { expect_noticed(SIGSTOP); }

TEST(Wordcount, AStoppedWorkerIsDeadAfterTheGrace) {
  temp_folder text;
  write_text(text, 20'000'000, 7);
  process p({wordcount(), "run", "--top", "0", text.string()});
  std::vector<pid_t> workers;
  while (workers.size() < 3 && p.running()) workers = p.children();
  ASSERT_EQ(workers.size(), 3u) << p.err();
  while (ticks_of(workers[1]) < 10 && p.running()) std::this_thread::yield();
  ::kill(workers[1], SIGSTOP);
  EXPECT_EQ(p.wait(60s), 0) << p.err();
  EXPECT_TRUE(p.out() == pipeline({text.string()}));
  // Stopped between two jobs it owes nothing, and nobody has to wait for it.
  EXPECT_EQ(reported(p.err(), "died"), reported(p.err(), "redelivered") > 0 ? 1u : 0u);
}

TEST(Wordcount, IsShort) {
  std::size_t lines = 0;
  for (const auto& entry : fs::directory_iterator(source_dir() / "examples/wordcount")) {
    const std::string text = read_file(entry.path());
    lines += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  EXPECT_GT(lines, 100u);
  EXPECT_LT(lines, 300u);

  const std::string heart = read_file(source_dir() / "examples/wordcount/worker.hpp");
  const std::size_t from = heart.find("st::task<> worker(");
  ASSERT_NE(from, std::string::npos);
  const std::string body = heart.substr(from, heart.find("\n}\n", from) + 3 - from);
  const auto length = std::count(body.begin(), body.end(), '\n');
  EXPECT_GT(length, 5);
  EXPECT_LT(length, 15) << body;
}

}  // namespace
