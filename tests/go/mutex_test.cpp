// Go's src/sync/mutex_test.go, by name. A goroutine that only blocks in Go's test and has no other
// meaning is one here; what a guard makes impossible is shown to be.
#include <gtest/gtest.h>

#include <chrono>
#include <type_traits>

#include <strait/strait.hpp>

#include "support.hpp"

namespace st = strait;
using namespace std::chrono_literals;

namespace {

st::task<> hammer_semaphore(st::semaphore& s, int loops, st::chan<bool> done) {
  for (int i = 0; i < loops; ++i) {
    auto permit = co_await s.acquire();
    permit.release();
  }
  co_await done.send(true);
}

TEST(GoMutex, TestSemaphore) {
  st::run(st::runtime_options().workers(4), []() -> st::task<> {
    st::semaphore s(1);
    st::chan<bool> c(0);
    for (int i = 0; i < 10; ++i) st::go(hammer_semaphore, std::ref(s), 1000, c);
    for (int i = 0; i < 10; ++i) co_await c.recv();
    EXPECT_TRUE(s.try_acquire());
  });
}

st::task<> hammer_mutex(st::mutex& m, int loops, st::chan<bool> done) {
  for (int i = 0; i < loops; ++i) {
    if (i % 3 == 0) {
      auto maybe = m.try_lock();
      continue;
    }
    auto hold = co_await m.lock();
  }
  co_await done.send(true);
}

TEST(GoMutex, TestMutex) {
  st::run(st::runtime_options().workers(4), []() -> st::task<> {
    st::mutex m;
    auto hold = co_await m.lock();
    EXPECT_FALSE(m.try_lock()) << "try_lock succeeded with mutex locked";
    hold.unlock();
    hold = m.try_lock();
    EXPECT_TRUE(hold) << "try_lock failed with mutex unlocked";
    hold.unlock();

    st::chan<bool> c(0);
    for (int i = 0; i < 10; ++i) st::go(hammer_mutex, std::ref(m), 1000, c);
    for (int i = 0; i < 10; ++i) co_await c.recv();
    EXPECT_TRUE(m.try_lock());
  });
}

// Go: unlock of an unlocked mutex is fatal. Here only a guard can unlock, and only once.
TEST(GoMutex, TestMutexMisuse) {
  static_assert(!std::is_copy_constructible_v<st::mutex::guard>);
  static_assert(!std::is_copy_assignable_v<st::mutex::guard>);
  static_assert(!std::is_move_constructible_v<st::mutex>);
  st::run([]() -> st::task<> {
    st::mutex m;
    auto mine = co_await m.lock();
    mine.unlock();
    auto other = co_await m.lock();
    mine.unlock();  // not mine any more
    EXPECT_FALSE(m.try_lock());
    auto moved = std::move(other);
    other.unlock();  // NOLINT: moved from
    EXPECT_FALSE(m.try_lock());
  });
}

// A goroutine that hogs the lock for 100 us at a time cannot keep another from 10 locks in 10 s.
TEST(GoMutex, TestMutexFairness) {
  for (unsigned workers : {1u, 4u}) {
    st::run(st::runtime_options().workers(workers), []() -> st::task<> {
      st::mutex mu;
      st::chan<bool> stop(0);
      auto hog = st::go([&]() -> st::task<> {
        for (;;) {
          {
            auto hold = co_await mu.lock();
            co_await st::sleep(100us);
          }
          auto s = co_await st::select{stop.recv(), st::otherwise};
          if (s.index() == 0) co_return;
        }
      });
      st::chan<bool> done(1);
      auto other = st::go([&]() -> st::task<> {
        for (int i = 0; i < 10; ++i) {
          co_await st::sleep(100us);
          auto hold = co_await mu.lock();
        }
        co_await done.send(true);
      });
      auto s = co_await st::select{done.recv(), st::after(10s)};
      EXPECT_EQ(s.index(), 0u) << "cannot lock in 10 seconds";
      stop.close();
      co_await hog;
      co_await other;
    });
  }
}

}  // namespace
