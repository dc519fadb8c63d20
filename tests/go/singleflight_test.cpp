// Go's x/sync/singleflight tests, by name. A call in a goroutine of its own, whose join handle is a
// case of select, is Go's DoChan.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include <strait/strait.hpp>

#include "../local.hpp"

namespace {

namespace st = strait;
using strait_test::run_on;
using strait_test::settle;
using flights = st::single_flight<std::string, std::string>;

TEST(GoSingleflight, TestDo) {
  run_on(2, []() -> st::task<> {
    flights g;
    auto v = co_await g.call("key", [] { return std::string("bar"); });
    EXPECT_EQ(v.value, "bar");
    EXPECT_FALSE(v.shared);
  });
}

TEST(GoSingleflight, TestDoErr) {
  run_on(2, []() -> st::task<> {
    flights g;
    std::string error;
    try {
      co_await g.call("key", []() -> std::string { throw std::runtime_error("Some error"); });
    } catch (const std::runtime_error& e) {
      error = e.what();
    }
    EXPECT_EQ(error, "Some error");
  });
}

// Many ask while one call is under way: fewer calls than askers, and one answer for them.
TEST(GoSingleflight, TestDoDupSuppress) {
  run_on(4, []() -> st::task<> {
    flights g;
    st::wait_group wg1, wg2;
    st::chan<std::string> c(1);
    std::atomic<int> calls{0};
    auto fn = [&]() -> st::task<std::string> {
      if (++calls == 1) wg1.done();  // the first call is under way
      auto v = co_await c.recv();
      co_await c.send(*v);
      co_await st::yield();
      co_return *v;
    };
    constexpr int n = 10;
    wg1.add(1);
    for (int i = 0; i < n; ++i) {
      wg1.add(1);
      wg2.add(1);
      st::go([&]() -> st::task<> {
        wg1.done();
        auto v = co_await g.call("key", fn);
        EXPECT_EQ(v.value, "bar");
        wg2.done();
      });
    }
    co_await wg1.wait();
    co_await c.send("bar");
    co_await wg2.wait();
    EXPECT_GT(calls, 0);
    EXPECT_LT(calls, n);
  });
}

// A forgotten key's next call is made, and shared by who comes after it.
TEST(GoSingleflight, TestForget) {
  run_on(1, []() -> st::task<> {
    st::single_flight<std::string, int> g;
    st::chan<bool> first_started(1), unblock_first(1);
    auto first = st::go([&]() -> st::task<int> {
      auto f = [&]() -> st::task<int> {
        co_await first_started.send(true);
        co_await unblock_first.recv();
        co_return 1;
      };
      auto v = co_await g.call("key", f);
      co_return v.value;
    });
    co_await first_started.recv();
    g.forget("key");
    st::chan<bool> second_started(1), unblock_second(1);
    auto second = st::go([&]() -> st::task<int> {
      auto f = [&]() -> st::task<int> {
        co_await second_started.send(true);
        co_await unblock_second.recv();
        co_return 2;
      };
      auto v = co_await g.call("key", f);
      co_return v.value;
    });
    co_await second_started.recv();
    co_await unblock_first.send(true);
    const int one = co_await first;
    EXPECT_EQ(one, 1);
    auto third = st::go([&]() -> st::task<int> {
      auto v = co_await g.call("key", [] { return 3; });
      co_return v.value;
    });
    co_await settle();  // the third has asked, and shares the second's call
    co_await unblock_second.send(true);
    const int two = co_await second, three = co_await third;
    EXPECT_EQ(two, 2);
    EXPECT_EQ(three, 2);
  });
}

TEST(GoSingleflight, TestDoChan) {
  run_on(2, []() -> st::task<> {
    flights g;
    auto ask = [&]() -> st::task<std::string> {
      auto v = co_await g.call("key", [] { return std::string("bar"); });
      co_return v.value;
    };
    auto answer = st::go(ask);
    auto s = co_await st::select{answer, st::after(std::chrono::hours(1))};
    EXPECT_EQ(s.index(), 0u);
    EXPECT_EQ(s.get<0>(), "bar");
  });
}

// What the call throws reaches everybody who asked.
TEST(GoSingleflight, TestPanicDo) {
  run_on(1, []() -> st::task<> {
    flights g;
    constexpr int n = 5;
    int failed = 0;
    st::wait_group waited;
    for (int i = 0; i < n; ++i) {
      waited.go([&]() -> st::task<> {
        auto f = []() -> st::task<std::string> {
          co_await settle();
          throw std::runtime_error("invalid memory address");
        };
        try {
          co_await g.call("key", f);
        } catch (const std::runtime_error&) {
          ++failed;
        }
      });
    }
    co_await waited.wait();
    EXPECT_EQ(failed, n);
  });
}

}  // namespace
