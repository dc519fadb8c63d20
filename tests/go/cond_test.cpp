// Go's src/sync/cond_test.go, by name. TestCondCopy: a condvar cannot be copied.
#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include <strait/strait.hpp>

#include "../local.hpp"

namespace {

namespace st = strait;
using strait_test::run_on;
using strait_test::scaled;

static_assert(!std::is_copy_constructible_v<st::condvar> &&
              !std::is_move_constructible_v<st::condvar>);

// One wake for each signal.
TEST(GoCond, TestCondSignal) {
  run_on(2, []() -> st::task<> {
    st::mutex m;
    st::condvar c;
    st::group all;  // joined before the mutex goes
    constexpr int n = 2;
    st::chan<bool> running(n), awake(n);
    for (int i = 0; i < n; ++i) {
      all.go([&]() -> st::task<> {
        auto hold = co_await m.lock();
        co_await running.send(true);
        co_await c.wait(hold);
        co_await awake.send(true);
      });
    }
    for (int i = 0; i < n; ++i) co_await running.recv();
    for (int left = n; left > 0; --left) {
      EXPECT_FALSE(awake.try_recv()) << "a goroutine is awake that nobody woke";
      auto hold = co_await m.lock();
      c.notify_one();
      hold.unlock();
      co_await awake.recv();
      EXPECT_FALSE(awake.try_recv()) << "too many are awake";
    }
    c.notify_one();
    co_await all.join();
  });
}

// First come, first served, over a hundred waiters.
TEST(GoCond, TestCondSignalGenerations) {
  run_on(2, []() -> st::task<> {
    st::mutex m;
    st::condvar c;
    st::group all;  // joined before the mutex goes
    constexpr int n = 100;
    st::chan<bool> running(n);
    st::chan<int> awake(n);
    for (int i = 0; i < n; ++i) {
      all.go([&, i]() -> st::task<> {
        auto hold = co_await m.lock();
        co_await running.send(true);
        co_await c.wait(hold);
        co_await awake.send(i);
      });
      if (i > 0) {
        auto a = co_await awake.recv();
        EXPECT_EQ(*a, i - 1);
      }
      co_await running.recv();
      auto hold = co_await m.lock();
      c.notify_one();
    }
    co_await all.join();
  });
}

// All who wait wake, each once, round after round.
TEST(GoCond, TestCondBroadcast) {
  run_on(2, []() -> st::task<> {
    st::mutex m;
    st::condvar c;
    st::group all;  // joined before the mutex goes
    constexpr int n = 200;
    st::chan<int> running(n), awake(n);
    bool over = false;
    for (int i = 0; i < n; ++i) {
      all.go([&, i]() -> st::task<> {
        auto hold = co_await m.lock();
        while (!over) {
          co_await running.send(i);
          co_await c.wait(hold);
          co_await awake.send(i);
        }
      });
    }
    const int rounds = static_cast<int>(scaled(n));
    for (int i = 0; i < rounds; ++i) {
      for (int k = 0; k < n; ++k) co_await running.recv();
      if (i == rounds - 1) {
        auto hold = co_await m.lock();
        over = true;
      }
      EXPECT_FALSE(awake.try_recv()) << "a goroutine is awake that nobody woke";
      auto hold = co_await m.lock();
      c.notify_all();
      hold.unlock();
      std::vector<bool> seen(n, false);
      for (int k = 0; k < n; ++k) {
        auto who = co_await awake.recv();
        EXPECT_FALSE(seen[static_cast<std::size_t>(*who)]) << "woke twice";
        seen[static_cast<std::size_t>(*who)] = true;
      }
    }
    EXPECT_FALSE(running.try_recv()) << "one did not end";
    co_await all.join();
  });
}

// x goes 0, 1, 2, 3, by three goroutines that wait for each other's step.
TEST(GoCond, TestRace) {
  run_on(4, []() -> st::task<> {
    st::mutex m;
    st::condvar c;
    st::group all;  // joined before the mutex goes
    int x = 0;
    st::chan<bool> done(0);
    all.go([&]() -> st::task<> {
      auto hold = co_await m.lock();
      x = 1;
      co_await c.wait(hold);
      EXPECT_EQ(x, 2);
      x = 3;
      c.notify_one();
      hold.unlock();
      co_await done.send(true);
    });
    all.go([&]() -> st::task<> {
      auto hold = co_await m.lock();
      while (x != 1) {
        hold.unlock();
        co_await st::yield();
        hold = co_await m.lock();
      }
      x = 2;
      c.notify_one();
      hold.unlock();
      co_await done.send(true);
    });
    all.go([&]() -> st::task<> {
      auto hold = co_await m.lock();
      while (x != 2 && x != 3) {
        hold.unlock();
        co_await st::yield();
        hold = co_await m.lock();
      }
      while (x != 3) co_await c.wait(hold);
      hold.unlock();
      co_await done.send(true);
    });
    for (int i = 0; i < 3; ++i) co_await done.recv();
    co_await all.join();
  });
}

// A waiter that comes later does not take the wake-up of one that waits longer.
TEST(GoCond, TestCondSignalStealing) {
  run_on(2, []() -> st::task<> {
    for (std::uint64_t round = 0; round < scaled(1000); ++round) {
      st::mutex m;
      st::condvar c;
      st::chan<bool> ch(0);
      auto old = st::go([&]() -> st::task<> {
        auto hold = co_await m.lock();
        co_await ch.send(true);
        co_await c.wait(hold);
        hold.unlock();
        co_await ch.send(true);
      });
      co_await ch.recv();
      auto hold = co_await m.lock();
      hold.unlock();
      bool done = false;
      auto late = st::go([&]() -> st::task<> {
        auto mine = co_await m.lock();
        while (!done) co_await c.wait(mine);
      });
      c.notify_one();
      co_await ch.recv();  // the old one woke: else this hangs
      co_await old;
      hold = co_await m.lock();
      done = true;
      hold.unlock();
      c.notify_all();
      co_await late;
    }
  });
}

}  // namespace
