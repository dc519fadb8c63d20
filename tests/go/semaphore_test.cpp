// golang.org/x/sync/semaphore's tests, by name. A context that is cancelled is a cancel_source, an
// error returned is `cancelled` or `timed_out` thrown.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include <strait/strait.hpp>

#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t procs = 4;
const st::runtime_options options = st::runtime_options().workers(procs);

TEST(GoSemaphore, TestWeighted) {
  st::run(options, []() -> st::task<> {
    const auto loops = static_cast<int>(strait_test::scaled(10000 / procs));
    st::semaphore sem(procs);
    co_await st::scope([&](st::group& g) -> st::task<> {
      for (std::size_t i = 0; i < procs; ++i) {
        g.go([&, i]() -> st::task<> {
          for (int k = 0; k < loops; ++k) {
            auto permit = co_await sem.acquire(i);
            if (k % 8 == 0) co_await st::sleep(std::chrono::nanoseconds(k % 100));
          }
        });
      }
      co_return;
    });
    EXPECT_TRUE(sem.try_acquire(procs));
  });
}

TEST(GoSemaphore, TestWeightedPanic) {
  st::semaphore w(1);
  try {
    w.release(1);
    ADD_FAILURE() << "release of an unacquired semaphore did not throw";
  } catch (const st::misuse& e) {
    EXPECT_NE(std::string(e.what()).find("more than are held"), std::string::npos) << e.what();
  }
}

TEST(GoSemaphore, TestWeightedTryAcquire) {
  st::run(options, []() -> st::task<> {
    st::semaphore sem(2);
    auto first = co_await sem.acquire(1);
    auto a = sem.try_acquire(1);
    auto b = sem.try_acquire(1);
    EXPECT_TRUE(a);
    EXPECT_FALSE(b);
    first.release();
    a.release();
    auto c = sem.try_acquire(1);
    EXPECT_TRUE(c);
    auto second = co_await sem.acquire(1);
    EXPECT_FALSE(sem.try_acquire(1));
  });
}

st::task<st::semaphore::permit> acquire_soon(st::semaphore& sem, std::size_t n) {
  try {
    co_return co_await st::with_timeout(10ms, sem.acquire(n));
  } catch (const st::timed_out&) {
  }
  co_return st::semaphore::permit();
}

TEST(GoSemaphore, TestWeightedAcquire) {
  st::run(options, []() -> st::task<> {
    st::semaphore sem(2);
    auto first = co_await sem.acquire(1);
    auto a = co_await acquire_soon(sem, 1);
    auto b = co_await acquire_soon(sem, 1);
    EXPECT_TRUE(a);
    EXPECT_FALSE(b);
    first.release();
    a.release();
    auto c = co_await acquire_soon(sem, 1);
    EXPECT_TRUE(c);
    auto second = co_await sem.acquire(1);
    auto d = co_await acquire_soon(sem, 1);
    EXPECT_FALSE(d);
  });
}

TEST(GoSemaphore, TestWeightedDoesntBlockIfTooBig) {
  st::run(options, []() -> st::task<> {
    constexpr std::size_t n = 2;
    st::semaphore sem(n);
    st::cancel_source ctx;
    bool got = false;
    auto greedy = st::go([&]() -> st::task<> {
      try {
        auto permit = co_await st::with_context(ctx, sem.acquire(n + 1));
        got = true;
      } catch (const st::cancelled&) {
      }
    });
    co_await st::with_timeout(20s, [](st::semaphore& s) -> st::task<> {
      co_await st::scope([&](st::group& g) -> st::task<> {
        for (std::size_t i = 0; i < n * 3; ++i) {
          g.go([&]() -> st::task<> {
            auto permit = co_await s.acquire(1);
            co_await st::sleep(1ms);
          });
        }
        co_return;
      });
    }(sem));
    EXPECT_FALSE(greedy.done());
    ctx.cancel();
    co_await greedy;
    EXPECT_FALSE(got);
  });
}

TEST(GoSemaphore, TestLargeAcquireDoesntStarve) {
  st::run(options, []() -> st::task<> {
    st::semaphore sem(procs);
    std::atomic<bool> running{true};
    st::wait_group wg;
    for (std::size_t i = 0; i < procs; ++i) {
      auto permit = co_await sem.acquire(1);
      wg.go(
          [](st::semaphore& s, std::atomic<bool>& go_on, st::semaphore::permit p) -> st::task<> {
            while (go_on) {
              co_await st::sleep(1ms);
              p.release();
              p = co_await s.acquire(1);
            }
          },
          std::ref(sem), std::ref(running), std::move(permit));
    }
    auto all = co_await st::with_timeout(20s, sem.acquire(procs));
    running = false;
    all.release();
    co_await wg.wait();
  });
}

TEST(GoSemaphore, TestAllocCancelDoesntStarve) {
  st::run(options, []() -> st::task<> {
    st::semaphore sem(10);
    auto one = co_await sem.acquire(1);  // so that acquire(10) cannot succeed
    st::cancel_source ctx;
    auto large = st::go([&]() -> st::task<> {
      try {
        auto permit = co_await st::with_context(ctx, sem.acquire(10));
        ADD_FAILURE() << "acquired 10 of 9";
      } catch (const st::cancelled&) {
      }
    });
    while (sem.try_acquire(1)) co_await st::yield();  // until it waits
    auto canceller = st::go([&]() -> st::task<> {
      co_await st::sleep(1ms);
      ctx.cancel();
    });
    auto small = co_await st::with_timeout(20s, sem.acquire(1));
    EXPECT_TRUE(small);
    co_await large;
    co_await canceller;
  });
}

TEST(GoSemaphore, TestWeightedAcquireCanceled) {
  st::run(options, []() -> st::task<> {
    // Released and cancelled at once: if it says that it was cancelled, it holds nothing.
    for (int i = 0; i < 1000; ++i) {
      st::semaphore sem(1);
      auto held = co_await sem.acquire(1);
      st::cancel_source ctx;
      bool was_cancelled = false;
      auto waiter = st::go([&]() -> st::task<> {
        try {
          auto permit = co_await st::with_context(ctx, sem.acquire(1));
          permit.detach();
        } catch (const st::cancelled&) {
          was_cancelled = true;
        }
      });
      if (i % 2 == 0) co_await st::yield();
      auto releaser = st::go([&] { held.release(); });
      ctx.cancel();
      co_await releaser;
      co_await waiter;
      EXPECT_EQ(was_cancelled, static_cast<bool>(sem.try_acquire(1)));
    }
    // Fails under a cancelled context even if there is enough.
    st::semaphore sem(1);
    st::cancel_source ctx;
    ctx.cancel();
    bool was_cancelled = false;
    try {
      auto permit = co_await st::with_context(ctx, sem.acquire(1));
    } catch (const st::cancelled&) {
      was_cancelled = true;
    }
    EXPECT_TRUE(was_cancelled);
    EXPECT_TRUE(sem.try_acquire(1));
  });
}

}  // namespace
