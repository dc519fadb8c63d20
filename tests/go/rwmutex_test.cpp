// Go's src/sync/rwmutex_test.go, by name.
#include <gtest/gtest.h>

#include <atomic>

#include <strait/strait.hpp>

#include "../local.hpp"

namespace {

namespace st = strait;
using strait_test::run_on;
using strait_test::scaled;

// All readers are inside at once.
TEST(GoRWMutex, TestParallelReaders) {
  for (const int readers : {1, 3, 4, 10}) {
    for (unsigned workers : {1u, 4u}) {
      run_on(workers, [readers]() -> st::task<> {
        st::rwmutex m;
        st::chan<bool> locked(0), unlock(0), done(0);
        for (int i = 0; i < readers; ++i) {
          st::go([&]() -> st::task<> {
            auto hold = co_await m.lock_shared();
            co_await locked.send(true);
            co_await unlock.recv();
            hold.unlock();
            co_await done.send(true);
          });
        }
        for (int i = 0; i < readers; ++i) co_await locked.recv();
        for (int i = 0; i < readers; ++i) co_await unlock.send(true);
        for (int i = 0; i < readers; ++i) co_await done.recv();
      });
    }
  }
}

st::task<> hammer(unsigned readers, std::uint64_t iterations) {
  st::rwmutex m;
  std::atomic<int> activity{0};  // readers count 1, a writer 10000
  const auto read = [&]() -> st::task<> {
    for (std::uint64_t i = 0; i < iterations; ++i) {
      auto hold = co_await m.lock_shared();
      const int n = ++activity;
      EXPECT_TRUE(n >= 1 && n < 10000) << n;
      for (int k = 0; k < 100; ++k) activity.load();
      --activity;
    }
  };
  const auto write = [&]() -> st::task<> {
    for (std::uint64_t i = 0; i < iterations; ++i) {
      auto hold = co_await m.lock();
      EXPECT_EQ(activity += 10000, 10000);
      for (int k = 0; k < 100; ++k) activity.load();
      activity -= 10000;
    }
  };
  co_await st::scope([&](st::group& g) -> st::task<> {
    g.go(write);
    for (unsigned i = 0; i < readers / 2; ++i) g.go(read);
    g.go(write);
    for (unsigned i = readers / 2; i < readers; ++i) g.go(read);
    co_return;
  });
}

// The truth table of the try forms, and the invariant under load.
TEST(GoRWMutex, TestRWMutex) {
  run_on(1, []() -> st::task<> {
    st::rwmutex m;
    auto w = co_await m.lock();
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    w.unlock();
    w = m.try_lock();
    EXPECT_TRUE(w);
    w.unlock();
    auto r = m.try_lock_shared();
    EXPECT_TRUE(r);
    auto r2 = m.try_lock_shared();
    EXPECT_TRUE(r2);
    EXPECT_FALSE(m.try_lock());
  });
  const std::uint64_t n = scaled(1000);
  for (unsigned workers : {1u, 4u, 10u}) {
    for (unsigned readers : {1u, 3u, 10u}) run_on(workers, hammer, readers, n);
  }
}

// Two shared locks and then a writer, in turns; a shared guard is Go's RLocker.
TEST(GoRWMutex, TestRLocker) {
  run_on(2, []() -> st::task<> {
    st::rwmutex m;
    st::chan<bool> locked(1), unlocked(1);
    constexpr int n = 10;
    auto writer = st::go([&]() -> st::task<> {
      for (int i = 0; i < n; ++i) {
        auto one = co_await m.lock_shared();
        auto two = co_await m.lock_shared();
        co_await locked.send(true);
        co_await unlocked.recv();
      }
    });
    for (int i = 0; i < n; ++i) {
      co_await locked.recv();
      co_await unlocked.send(true);
      auto hold = co_await m.lock();
    }
    co_await writer;
  });
}

}  // namespace
