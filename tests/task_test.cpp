// task: a coroutine that another one calls; stacks of them, and how deep they may be.
#include <strait/task.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "local.hpp"

namespace {

namespace st = strait;
using strait_test::counted;
using strait_test::run_on;

static_assert(!std::is_move_constructible_v<st::task<int>>);
static_assert(!std::is_copy_constructible_v<st::task<int>>);
static_assert(std::is_same_v<st::task<>, st::task<void>>);
static_assert(std::is_same_v<st::task<int>::value_type, int>);

TEST(task, runs_nothing_until_it_is_awaited) {
  run_on(1, [&]() -> st::task<> {
    bool ran = false;
    const auto set = [](bool& r) -> st::task<> {
      r = true;
      co_return;
    };
    {
      [[maybe_unused]] auto never = set(ran);
    }
    EXPECT_FALSE(ran);
    co_await set(ran);
    EXPECT_TRUE(ran);
  });
}

TEST(task, gives_values_references_and_things_that_only_move) {
  run_on(1, [&]() -> st::task<> {
    int target = 1;
    struct f {
      static st::task<int> value() { co_return 1; }
      static st::task<int&> reference(int& n) { co_return n; }
      static st::task<std::unique_ptr<int>> owner() { co_return std::make_unique<int>(2); }
      static st::task<counted> object() { co_return counted(3); }
      static st::task<std::string> converted() { co_return "text"; }
      static st::task<const counted&> constant(const counted& c) { co_return c; }
    };
    const int v = co_await f::value();
    EXPECT_EQ(v, 1);
    int& r = co_await f::reference(target);
    EXPECT_EQ(&r, &target);
    auto p = co_await f::owner();
    EXPECT_EQ(*p, 2);
    auto c = co_await f::object();
    EXPECT_EQ(c.value, 3);
    const counted& same = co_await f::constant(c);
    EXPECT_EQ(&same, &c);
    const auto text = co_await f::converted();
    EXPECT_EQ(text, "text");
  });
  EXPECT_EQ(counted::alive, 0);
}

st::task<int> thrower(int depth) {
  const counted witness(depth);
  if (depth == 0) {
    co_await st::yield();
    throw std::runtime_error("from the depth");
  }
  const int below = co_await thrower(depth - 1);
  co_return below + 1;
}

TEST(task, exceptions_unwind_the_callers) {
  run_on(2, [&]() -> st::task<> {
    std::string what;
    try {
      co_await thrower(100);
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "from the depth");
    EXPECT_EQ(counted::alive, 0);
  });
}

// Calls in a loop and chains of calls use symmetric transfer, which is a real call below -O2 and
// under sanitizers: the hop count keeps the stack short.
st::task<int> leaf(int n) { co_return n & 1; }

TEST(task, a_million_calls_in_a_loop) {
  const auto n = static_cast<int>(strait_test::scaled(10'000'000));
  const long sum = run_on(1, [&]() -> st::task<long> {
    long total = 0;
    for (int i = 0; i < n; ++i) {
      const int v = co_await leaf(i);
      total += v;
    }
    co_return total;
  });
  EXPECT_EQ(sum, n / 2);
}

st::task<int> deep(int n) {
  if (n == 0) co_return 0;
  const int below = co_await deep(n - 1);
  co_return below + 1;
}

TEST(task, a_million_calls_deep) {
  const auto n = static_cast<int>(strait_test::scaled(1'000'000));
  const int depth = run_on(1, deep, n);
  EXPECT_EQ(depth, n);
}

st::task<int> deep_and_waiting(int n) {
  if (n == 0) {
    co_await st::yield();
    co_return 0;
  }
  const int below = co_await deep_and_waiting(n - 1);
  if (n % 1000 == 0) co_await st::yield();
  co_return below + 1;
}

TEST(task, deep_stacks_move_between_workers) {
  run_on(4, [&]() -> st::task<> {
    co_await st::scope([](st::group& g) -> st::task<> {
      for (int i = 0; i < 8; ++i) {
        g.go([]() -> st::task<> {
          const int depth = co_await deep_and_waiting(20'000);
          EXPECT_EQ(depth, 20'000);
        });
      }
      co_return;
    });
  });
}

st::task<int> ackermann(int m, int n) {
  if (m == 0) co_return n + 1;
  if (n == 0) {
    const int v = co_await ackermann(m - 1, 1);
    co_return v;
  }
  const int inner = co_await ackermann(m, n - 1);
  const int outer = co_await ackermann(m - 1, inner);
  co_return outer;
}

TEST(task, calls_and_returns_in_any_pattern) {
  const int v = run_on(1, ackermann, 2, strait_test::sanitized() ? 20 : 100);
  EXPECT_EQ(v, strait_test::sanitized() ? 43 : 203);
}

}  // namespace
