// main() of every test: a watchdog that ends a test that hangs and says where, and a leak check.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "support.hpp"

#if __has_include(<strait/strait.hpp>)
#include <strait/strait.hpp>
#define STRAIT_TEST_HAS_CORE 1
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRAIT_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STRAIT_TEST_SANITIZED 1
#endif
#endif
#ifndef STRAIT_TEST_SANITIZED
#define STRAIT_TEST_SANITIZED 0
#endif

std::atomic<void (*)()> strait_test_dump = nullptr;
bool (*strait_test_leaks)(std::ostream&) = nullptr;

namespace {

using clock_type = std::chrono::steady_clock;

class watchdog : public testing::EmptyTestEventListener {
 public:
  watchdog() : thread_([this] { watch(); }) {}

  ~watchdog() override {
    {
      std::lock_guard hold(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void extend(std::chrono::seconds whole_test) {
    {
      std::lock_guard hold(mutex_);
      deadline_ = started_ + whole_test;
    }
    changed_.notify_all();
  }

 private:
  void OnTestStart(const testing::TestInfo& info) override {
    {
      std::lock_guard hold(mutex_);
      name_ = std::string(info.test_suite_name()) + "." + info.name();
      started_ = clock_type::now();
      deadline_ = started_ + strait_test::limit();
    }
    changed_.notify_all();
  }

  void OnTestEnd(const testing::TestInfo&) override {
    std::lock_guard hold(mutex_);
    deadline_ = clock_type::time_point::max();
  }

  void watch() {
    std::unique_lock hold(mutex_);
    while (!stop_) {
      if (deadline_ == clock_type::time_point::max()) {
        changed_.wait(hold);
      } else if (clock_type::now() < deadline_) {
        // A copy: wait_until reads its argument again after it let go of the mutex.
        const auto until = deadline_;
        changed_.wait_until(hold, until);
      } else {
        bark();
      }
    }
  }

  [[noreturn]] void bark() {
    const auto ran = std::chrono::duration_cast<std::chrono::seconds>(clock_type::now() - started_);
    // The dump may itself hang on what is stuck: the line is out before it starts, and an alarm
    // ends the program if it does not come back.
    std::cerr << "watchdog: test " << name_ << " ran " << ran.count() << " s" << std::endl;
    std::signal(SIGALRM, SIG_DFL);
    ::alarm(10);
    if (const auto dump = strait_test_dump.load()) dump();
    std::cerr << std::flush;
    std::abort();
  }

  std::mutex mutex_;  // protects all below but the thread
  std::condition_variable changed_;
  bool stop_ = false;
  std::string name_;
  clock_type::time_point started_;
  clock_type::time_point deadline_ = clock_type::time_point::max();
  std::thread thread_;
};

#ifdef STRAIT_TEST_HAS_CORE
// Blocks of the frame pool: goroutines, coroutine frames. Those of `run` are gone when it returns.
std::int64_t live_before = 0;

bool nothing_left(std::ostream& why) {
  const std::int64_t left = strait::detail::pool_live() - live_before;
  if (left == 0) return true;
  why << left << " goroutines or frames\n";
  strait::dump(why);
  return false;
}
#endif

// A listener may add a failure in OnTestEnd: it is counted to the test that ends. (This one is
// appended last, so it runs before the printer.)
class leak_check : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
#ifdef STRAIT_TEST_HAS_CORE
    live_before = strait::detail::pool_live();
#endif
  }

  void OnTestEnd(const testing::TestInfo&) override {
    if (!strait_test_leaks) return;
    std::ostringstream why;
    EXPECT_TRUE(strait_test_leaks(why)) << "left behind by the test: " << why.str();
  }
};

watchdog* dog = nullptr;  // NOLINT: set once, before the tests run

// `name` as a number above zero, or `otherwise`; ends the program when it is set to anything else.
double positive(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (*end || !(value > 0)) {
    std::cerr << name << "='" << text << "' is not a number above zero\n";
    std::exit(2);
  }
  return value;
}

}  // namespace

namespace strait_test {

bool sanitized() { return STRAIT_TEST_SANITIZED != 0; }

std::uint64_t scaled(std::uint64_t count) {
  const double scale = positive("STRAIT_TEST_SCALE", 1.0) * STRAIT_TEST_SCALE_PERCENT / 100.0;
  const double scaled_count = static_cast<double>(count) * scale;
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(scaled_count));
}

std::chrono::seconds limit() {
  return std::chrono::seconds(
      static_cast<long>(positive("STRAIT_TEST_LIMIT", sanitized() ? 300.0 : 60.0)));
}

void extend_limit(std::chrono::seconds whole_test) {
  if (dog) dog->extend(whole_test);
}

}  // namespace strait_test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // The watchdog is a thread, so a death test starts the program anew rather than forking.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
#ifdef STRAIT_TEST_HAS_CORE
  strait_test_dump = [] { strait::dump(std::cerr); };
  strait_test_leaks = nothing_left;
#endif
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  dog = new watchdog;  // owned by gtest from here
  listeners.Append(dog);
  listeners.Append(new leak_check);
  return RUN_ALL_TESTS();
}
