// Go's src/sync/once_test.go and oncefunc_test.go, by name. A once_value serves for OnceFunc,
// OnceValue and OnceValues.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>

#include <strait/strait.hpp>

#include "../local.hpp"

namespace {

namespace st = strait;
using strait_test::run_on;

// Ten goroutines, one increment, and whoever returns sees it.
TEST(GoOnce, TestOnce) {
  run_on(4, []() -> st::task<> {
    st::once once;
    int o = 0;
    st::chan<bool> c(0);
    constexpr int n = 10;
    for (int i = 0; i < n; ++i) {
      st::go([&]() -> st::task<> {
        co_await once.call([&] { ++o; });
        EXPECT_EQ(o, 1);
        co_await c.send(true);
      });
    }
    for (int i = 0; i < n; ++i) co_await c.recv();
    EXPECT_EQ(o, 1);
  });
}

// After a panic it counts as done.
TEST(GoOnce, TestOncePanic) {
  run_on(1, []() -> st::task<> {
    st::once once;
    bool thrown = false;
    try {
      co_await once.call([] { throw std::runtime_error("failed"); });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    co_await once.call([] { FAIL() << "called twice"; });
  });
}

TEST(GoOnce, TestOnceFunc) {
  run_on(2, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&] { return ++calls, true; });
    for (int i = 0; i < 10; ++i) co_await f.get();
    EXPECT_EQ(calls, 1);
  });
}

TEST(GoOnce, TestOnceValue) {
  run_on(2, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&] { return ++calls; });
    for (int i = 0; i < 10; ++i) {
      const int v = co_await f.get();
      EXPECT_EQ(v, 1);
    }
    EXPECT_EQ(calls, 1);
  });
}

TEST(GoOnce, TestOnceValues) {
  run_on(2, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&] {
      ++calls;
      return std::pair(calls, calls + 1);
    });
    for (int i = 0; i < 10; ++i) {
      const auto v = co_await f.get();
      EXPECT_EQ(v.first, 1);
      EXPECT_EQ(v.second, 2);
    }
    EXPECT_EQ(calls, 1);
  });
}

/// The same exception, every time, from one call.
template <class F>
st::task<> fails_alike(F& f, int& calls) {
  for (int i = 0; i < 2; ++i) {
    std::string what;
    try {
      co_await f.get();
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "x");
  }
  EXPECT_EQ(calls, 1);
}

TEST(GoOnce, TestOnceFuncPanic) {
  run_on(1, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&]() -> bool {
      ++calls;
      throw std::runtime_error("x");
    });
    co_await fails_alike(f, calls);
  });
}

TEST(GoOnce, TestOnceValuePanic) {
  run_on(1, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&]() -> st::task<int> {
      ++calls;
      co_await st::yield();
      throw std::runtime_error("x");
    });
    co_await fails_alike(f, calls);
  });
}

TEST(GoOnce, TestOnceValuesPanic) {
  run_on(1, []() -> st::task<> {
    int calls = 0;
    st::once_value f([&]() -> std::pair<int, int> {
      ++calls;
      throw std::runtime_error("x");
    });
    co_await fails_alike(f, calls);
  });
}

}  // namespace
