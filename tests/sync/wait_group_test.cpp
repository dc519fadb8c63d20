#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <strait/strait.hpp>
#include <strait/sync/wait_group.hpp>

#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;

namespace {

TEST(WaitGroup, WaitsForZero) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    co_await wg.wait();  // nothing to wait for
    wg.add(2);
    bool over = false;
    auto waiter = st::go([&]() -> st::task<> {
      co_await wg.wait();
      over = true;
    });
    for (int i = 0; i < 10; ++i) co_await st::yield();
    wg.done();
    for (int i = 0; i < 10; ++i) co_await st::yield();
    EXPECT_FALSE(over);
    wg.done();
    co_await waiter;
    EXPECT_TRUE(over);
    wg.add();  // once more
    auto last = st::go([&] { wg.done(); });
    co_await wg.wait();
    co_await last;
  });
}

TEST(WaitGroup, WakesAllWhoWait) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    wg.add();
    std::atomic<int> woken{0};
    std::vector<st::join_handle<>> waiters;
    for (int i = 0; i < 100; ++i) {
      waiters.push_back(st::go([&]() -> st::task<> {
        co_await wg.wait();
        ++woken;
      }));
    }
    for (int i = 0; i < 200; ++i) co_await st::yield();
    wg.done();
    for (auto& w : waiters) co_await w;
    EXPECT_EQ(woken, 100);
  });
}

TEST(WaitGroup, NegativeCounterIsMisuse) {
  st::wait_group wg;
  EXPECT_THROW(wg.done(), st::misuse);
  wg.add(3);
  EXPECT_THROW(wg.add(-4), st::misuse);
  wg.add(-3);  // the failed ones changed nothing
  EXPECT_THROW(wg.done(), st::misuse);
}

TEST(WaitGroup, GoCountsUntilTheEnd) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    std::atomic<int> ended{0};
    for (int i = 0; i < 100; ++i) {
      wg.go(
          [](std::atomic<int>& n, int yields) -> st::task<> {
            for (int k = 0; k < yields; ++k) co_await st::yield();
            ++n;
          },
          std::ref(ended), i % 5);
    }
    co_await wg.wait();
    EXPECT_EQ(ended, 100);
    auto handle = wg.go([](int a, int b) { return a + b; }, 2, 3);
    const int sum = co_await handle;
    EXPECT_EQ(sum, 5);
    co_await wg.wait();
  });
}

TEST(WaitGroup, AFailureGoesToTheJoiner) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    auto handle = wg.go([]() -> st::task<> {
      co_await st::yield();
      throw std::runtime_error("mine");
    });
    co_await wg.wait();
    const auto r = co_await st::as_result(handle.join());
    EXPECT_FALSE(r);
  });
}

TEST(WaitGroup, AFailureNobodyJoinsEndsTheProcess) {
  EXPECT_DEATH(st::run([]() -> st::task<> {
                 st::wait_group wg;
                 wg.go([]() -> st::task<> {
                   co_await st::yield();
                   throw std::runtime_error("nobody takes this");
                 });
                 co_await wg.wait();
                 std::fputs("waiter went on\n", stderr);
               }),
               "unhandled exception in the goroutine spawned at .*wait_group_test.*nobody takes");
}

TEST(WaitGroup, GoOfAnEmptyFunctionIsNotCounted) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    std::function<void()> empty;
    EXPECT_THROW(wg.go(empty), st::misuse);
    co_await wg.wait();
  });
}

TEST(WaitGroup, CancelledWaiterLeaves) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    wg.add();
    bool out = false;
    try {
      co_await st::with_timeout(2ms, wg.wait());
    } catch (const st::timed_out&) {
      out = true;
    }
    EXPECT_TRUE(out);
    wg.done();
    co_await st::with_timeout(10s, wg.wait());
  });
}

// The members outlive the group that a cancelled waiter takes with it.
TEST(WaitGroup, MembersMayOutliveIt) {
  st::run([]() -> st::task<> {
    st::chan<int> gate(0);
    std::atomic<int> ended{0};
    {
      st::wait_group wg;
      for (int i = 0; i < 3; ++i) {
        wg.go(
            [](st::chan<int> c, std::atomic<int>& n) -> st::task<> {
              co_await c.recv();
              ++n;
            },
            gate, std::ref(ended));
      }
      bool out = false;
      try {
        co_await st::with_timeout(1ms, wg.wait());
      } catch (const st::timed_out&) {
        out = true;
      }
      EXPECT_TRUE(out);
    }
    for (int i = 0; i < 3; ++i) co_await gate.send(i);
    while (ended != 3) co_await st::yield();
  });
}

TEST(WaitGroup, IsACaseOfSelectAndOfWait) {
  st::run([]() -> st::task<> {
    st::wait_group wg;
    wg.add();
    auto s = co_await st::select{wg.wait(), st::otherwise};
    EXPECT_EQ(s.index(), 1u);
    st::outside_work busy;
    std::thread outside([&] { st::wait(wg.wait()); });
    auto chooser = st::go([&]() -> st::task<> {
      st::chan<int> never(0);
      auto t = co_await st::select{never.recv(), wg.wait()};
      EXPECT_EQ(t.index(), 1u);
    });
    for (int i = 0; i < 10; ++i) co_await st::yield();
    wg.done();
    co_await chooser;
    outside.join();
  });
}

// The waiter destroys the group at once: the last done must not touch it any more.
TEST(WaitGroup, WaiterDestroysIt) {
  const auto rounds = static_cast<int>(strait_test::scaled(5000));
  st::run(st::runtime_options().workers(4), [rounds]() -> st::task<> {
    for (int i = 0; i < rounds; ++i) {
      auto wg = std::make_unique<st::wait_group>();
      int plain = 0;  // written by one, read by the waiter: ordered by the group
      wg->add();
      auto worker = st::go([&] {
        plain = i;
        wg->done();
      });
      wg->go([] {});
      co_await wg->wait();
      wg.reset();
      EXPECT_EQ(plain, i);
      co_await worker;
    }
  });
}

}  // namespace
