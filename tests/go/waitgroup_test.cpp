// Go's src/sync/waitgroup_test.go, by name. TestWaitGroupAlign is about Go's memory layout.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>

#include <strait/strait.hpp>

#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;

namespace {

const st::runtime_options options = st::runtime_options().workers(4);

st::task<> barrier(st::wait_group& wg1, st::wait_group& wg2) {
  constexpr int n = 16;
  wg1.add(n);
  wg2.add(n);
  st::chan<bool> exited(n);
  for (int i = 0; i != n; ++i) {
    st::go(
        [](st::wait_group& first, st::wait_group& second, st::chan<bool> out) -> st::task<> {
          first.done();
          co_await second.wait();
          co_await out.send(true);
        },
        std::ref(wg1), std::ref(wg2), exited);
  }
  co_await wg1.wait();
  for (int i = 0; i != n; ++i) {
    auto s = co_await st::select{exited.recv(), st::otherwise};
    EXPECT_EQ(s.index(), 1u) << "wait_group released its waiters too soon";
    wg2.done();
  }
  for (int i = 0; i != n; ++i) co_await exited.recv();
}

TEST(GoWaitGroup, TestWaitGroup) {
  st::run(options, []() -> st::task<> {
    st::wait_group wg1, wg2;
    for (int i = 0; i != 8; ++i) co_await barrier(wg1, wg2);
  });
}

TEST(GoWaitGroup, TestWaitGroupMisuse) {
  st::wait_group wg;
  wg.add(1);
  wg.done();
  try {
    wg.done();
    ADD_FAILURE() << "should throw";
  } catch (const st::misuse& e) {
    EXPECT_STREQ(e.what(), "strait: wait_group: negative counter");
  }
}

TEST(GoWaitGroup, TestWaitGroupRace) {
  st::run(options, []() -> st::task<> {
    for (int i = 0; i < 1000; ++i) {
      st::wait_group wg;
      std::atomic<int> n{0};
      auto work = [&] {
        ++n;
        wg.done();
      };
      wg.add(1);
      auto one = st::go(work);
      wg.add(1);
      auto two = st::go(work);
      co_await wg.wait();
      EXPECT_EQ(n, 2) << "woken too early";
      co_await one;
      co_await two;
    }
  });
}

TEST(GoWaitGroup, TestWaitGroupGo) {
  st::run(options, []() -> st::task<> {
    st::wait_group wg;
    int i = 0;
    wg.go([&] { ++i; });
    co_await wg.wait();
    EXPECT_EQ(i, 1);
  });
}

std::atomic<bool> waiter_went_on{false};

/// Its report, which is written first of all, gives the waiter time to go on when it should not.
struct slow_to_report : std::exception {
  const char* what() const noexcept override {
    const auto until = std::chrono::steady_clock::now() + 50ms;
    while (!waiter_went_on && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    return "test";
  }
};

// An exception that nobody takes ends the process; the waiter does not go on first.
TEST(GoWaitGroup, TestIssue76126) {
  EXPECT_EXIT(
      {
        std::set_terminate([] {
          std::fputs("terminated", stderr);
          std::_Exit(waiter_went_on ? 4 : 3);
        });
        st::run(options, []() -> st::task<> {
          st::wait_group wg;
          wg.go([] { throw slow_to_report(); });
          co_await wg.wait();
          waiter_went_on = true;
        });
      },
      testing::ExitedWithCode(3), "spawned at .*waitgroup_test.*: test\nterminated");
}

}  // namespace
