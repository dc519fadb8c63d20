#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <strait/blocking.hpp>
#include <strait/sim.hpp>
#include <strait/strait.hpp>

#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;

namespace {

const st::runtime_options one = st::runtime_options().workers(1);

TEST(Blocking, GivesResultsAndErrors) {
  st::run([]() -> st::task<> {
    const int v = co_await st::blocking([] { return 42; });
    EXPECT_EQ(v, 42);
    int done = 0;
    co_await st::blocking([&] { done = 1; });
    EXPECT_EQ(done, 1);
    int& ref = co_await st::blocking([&]() -> int& { return done; });
    EXPECT_EQ(&ref, &done);
    auto moved = co_await st::blocking([] { return std::make_unique<int>(3); });
    EXPECT_EQ(*moved, 3);
    const auto failed = co_await st::as_result(
        st::blocking([]() -> int { throw std::runtime_error("from the thread"); }));
    EXPECT_FALSE(failed);
    bool right = false;
    try {
      std::rethrow_exception(failed.error());
    } catch (const std::runtime_error& e) {
      right = std::string(e.what()) == "from the thread";
    }
    EXPECT_TRUE(right);
  });
}

TEST(Blocking, RunsOnAnotherThreadAndComesBackToAWorker) {
  st::run(one, []() -> st::task<> {
    const auto here = std::this_thread::get_id();
    const auto there = co_await st::blocking([] { return std::this_thread::get_id(); });
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
  });
}

// The one worker runs others while a call blocks: it is one of them that lets the call end.
TEST(Blocking, DoesNotBlockTheWorker) {
  st::run(one, []() -> st::task<> {
    std::promise<int> answer;
    auto other = st::go([&]() -> st::task<> {
      co_await st::yield();
      answer.set_value(7);
    });
    const int v = co_await st::blocking([&] { return answer.get_future().get(); });
    EXPECT_EQ(v, 7);
    co_await other;
  });
}

TEST(Blocking, OwningCallablesAreMadeBefore) {
  st::run([]() -> st::task<> {
    auto p = std::make_shared<std::string>("kept");
    std::weak_ptr<std::string> watch = p;
    auto job = [p = std::move(p)] { return *p; };
    const std::string text = co_await st::blocking(std::move(job));
    EXPECT_EQ(text, "kept");
    auto only = std::make_unique<int>(9);
    auto move_only = [only = std::move(only)] { return *only; };
    const int v = co_await st::blocking(std::move(move_only));
    EXPECT_EQ(v, 9);
    EXPECT_TRUE(watch.expired());  // destroyed with the operation, once
    std::function<int()> shared = [watch] { return watch.expired() ? 1 : 2; };
    for (int i = 0; i < 2; ++i) {
      const int expired = co_await st::blocking(shared);
      EXPECT_EQ(expired, 1);
    }
  });
}

// As many at a time as there are calls: none waits for another's end.
TEST(Blocking, PoolGrows) {
  static constexpr int n = 40;
  st::run(one, []() -> st::task<> {
    std::barrier all(n);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < n; ++i) {
        g.go([&]() -> st::task<> { co_await st::blocking([&] { all.arrive_and_wait(); }); });
      }
      co_return;
    });
    auto& pool = st::detail::blocking_pool::of(*st::detail::here().sched);
    EXPECT_GE(pool.threads(), static_cast<std::size_t>(n));
    EXPECT_LE(pool.threads(), st::detail::blocking_pool::most_threads);
  });
}

TEST(Blocking, ThreadsAreUsedAgain) {
  st::run(one, []() -> st::task<> {
    for (int i = 0; i < 200; ++i) co_await st::blocking([] {});
    auto& pool = st::detail::blocking_pool::of(*st::detail::here().sched);
    // A thread that has made its goroutine ready may not be idle again when the next call comes.
    EXPECT_LE(pool.threads(), 10u);
  });
}

TEST(Blocking, CallsBeyondTheCapWaitTheirTurn) {
  if (strait_test::sanitized()) GTEST_SKIP() << "hundreds of threads";
  static constexpr int calls = 600;
  st::run(one, []() -> st::task<> {
    std::atomic<int> running{0}, most{0}, ended{0};
    std::latch full(st::detail::blocking_pool::most_threads);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (int i = 0; i < calls; ++i) {
        g.go([&]() -> st::task<> {
          co_await st::blocking([&] {
            const int now = ++running;
            for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
            }
            if (!full.try_wait()) full.count_down();
            full.wait();
            --running;
            ++ended;
          });
        });
      }
      co_return;
    });
    EXPECT_EQ(ended, calls);
    EXPECT_EQ(most, static_cast<int>(st::detail::blocking_pool::most_threads));
    EXPECT_EQ(st::detail::blocking_pool::of(*st::detail::here().sched).threads(),
              st::detail::blocking_pool::most_threads);
  });
}

TEST(Blocking, IsShieldedOnceItRuns) {
  st::run(one, []() -> st::task<> {
    st::cancel_source source;
    std::promise<void> started, go_on;
    int result = 0;
    bool then_cancelled = false;
    auto caller = st::go([&]() -> st::task<> {
      try {
        co_await st::with_context(source, [](auto& a, auto& b, int& r) -> st::task<> {
          r = co_await st::blocking([&] {
            a.set_value();
            b.get_future().wait();
            return 5;
          });
          co_await st::yield();
        }(started, go_on, result));
      } catch (const st::cancelled&) {
        then_cancelled = true;
      }
    });
    co_await st::blocking([&] { started.get_future().wait(); });
    source.cancel();
    for (int i = 0; i < 10; ++i) co_await st::yield();
    EXPECT_FALSE(caller.done());
    go_on.set_value();
    co_await caller;
    EXPECT_EQ(result, 5);
    EXPECT_TRUE(then_cancelled);
  });
}

TEST(Blocking, CancelledBeforeDoesNotRun) {
  st::run([]() -> st::task<> {
    st::cancel_source source;
    source.cancel();
    bool ran = false, was_cancelled = false;
    try {
      co_await st::with_context(source, st::blocking([&] { ran = true; }));
    } catch (const st::cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
    EXPECT_FALSE(ran);
  });
}

// A runtime in which everybody waits for a blocking call is not stuck, and one in which nobody does
// any more is: the count goes down exactly when the call is over.
TEST(Blocking, CountsAsOutsideWork) {
  for (int i = 0; i < static_cast<int>(strait_test::scaled(300)); ++i) {
    testing::internal::CaptureStderr();  // the report
    EXPECT_THROW(st::run(one,
                         []() -> st::task<> {
                           co_await st::blocking([] { std::this_thread::yield(); });
                           st::chan<int> never(0);
                           co_await never.recv();
                         }),
                 st::deadlock);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("deadlock"), std::string::npos);
  }
}

TEST(Blocking, RunsInPlaceInASimulation) {
  const auto here = std::this_thread::get_id();
  const auto outcome = st::sim::run(std::uint64_t{3}, [here]() -> st::task<> {
    const auto there = co_await st::blocking([] { return std::this_thread::get_id(); });
    EXPECT_EQ(there, here);
    const auto r = co_await st::as_result(st::blocking([] { throw std::runtime_error("x"); }));
    EXPECT_FALSE(r);
  });
  EXPECT_GT(outcome.steps, 0u);
}

TEST(Blocking, Stress) {
  for (unsigned workers : {1u, 4u}) {
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      std::atomic<long> sum{0};
      const auto each = static_cast<int>(strait_test::scaled(1000));
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (int k = 0; k < 8; ++k) {
          g.go([&]() -> st::task<> {
            for (int i = 0; i < each; ++i) {
              const int v = co_await st::blocking([i] { return i; });
              sum += v;
            }
          });
        }
        co_return;
      });
      EXPECT_EQ(sum, 8l * each * (each - 1) / 2);
    });
  }
}

// The runtime ends while its last goroutine has hardly left the call: the pool is joined first.
TEST(Blocking, RuntimeEndsRightAfter) {
  for (int i = 0; i < static_cast<int>(strait_test::scaled(1000)); ++i) {
    const int v =
        st::run(st::runtime_options().workers(1 + static_cast<unsigned>(i) % 3),
                []() -> st::task<int> { co_return co_await st::blocking([] { return 1; }); });
    EXPECT_EQ(v, 1);
  }
}

}  // namespace
