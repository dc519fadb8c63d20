// go and join_handle: what may be started, how arguments get there, and where the outcome goes.
#include <strait/go.hpp>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::counted;
using strait_test::run_on;
using strait_test::settle;

st::task<int> twice(int n) { co_return 2 * n; }
st::task<int> noexcept_twice(int n) noexcept { co_return 2 * n; }
int plain_twice(int n) { return 2 * n; }
void plain_nothing() {}

struct calculator {
  int base = 0;
  st::task<int> add(int n) { co_return base + n; }
  st::task<int> add_const(int n) const { co_return base + n; }
  int plain(int n) { return base += n; }
  st::task<int> operator()(int n) {
    co_await st::yield();
    co_return base + n;
  }
};

TEST(go, starts_functions_of_every_kind) {
  run_on(2, [&]() -> st::task<> {
    int local = 40;
    auto lambda = [&local](int n) -> st::task<int> {
      co_await st::yield();
      co_return local + n;
    };
    std::function<st::task<int>(int)> function = twice;
    calculator c{100};
    std::vector<st::join_handle<int>> all;
    all.push_back(st::go(twice, 1));
    all.push_back(st::go(&twice, 2));
    all.push_back(st::go(noexcept_twice, 3));
    all.push_back(st::go(plain_twice, 4));
    all.push_back(st::go(lambda, 5));
    all.push_back(st::go(std::move(lambda), 6));
    all.push_back(st::go(function, 7));
    all.push_back(st::go(&calculator::add, &c, 8));
    all.push_back(st::go(&calculator::add, c, 9));
    all.push_back(st::go(&calculator::add_const, std::ref(c), 10));
    all.push_back(st::go(c, 11));
    all.push_back(st::go(std::ref(c), 12));
    all.push_back(st::go([](int n) { return n; }, 13));
    all.push_back(st::go(std::bind_front(twice, 14)));
    std::vector<int> got;
    for (auto& h : all) {
      const int v = co_await h;
      got.push_back(v);
    }
    EXPECT_EQ(got, (std::vector<int>{2, 4, 6, 8, 45, 46, 14, 108, 109, 110, 111, 112, 13, 28}));
    co_await st::go(plain_nothing);
    const int changed = co_await st::go(&calculator::plain, std::ref(c), 5);
    EXPECT_EQ(changed, 105);
    EXPECT_EQ(c.base, 105);
  });
}

TEST(go, it_does_not_run_before_the_caller_lets_it) {
  run_on(1, [&]() -> st::task<> {
    bool ran = false;
    auto h = st::go([&] { ran = true; });
    EXPECT_FALSE(ran);
    EXPECT_FALSE(h.done());
    co_await h;
    EXPECT_TRUE(ran);
    EXPECT_TRUE(h.done());
  });
}

TEST(go, captures_live_as_long_as_the_goroutine) {
  run_on(2, [&]() -> st::task<> {
    st::join_handle<std::size_t> h;
    {
      std::string text(1000, 'x');
      h = st::go([text]() -> st::task<std::size_t> {
        for (int i = 0; i < 10; ++i) co_await st::yield();
        co_return text.size();
      });
    }
    const std::size_t n = co_await h;
    EXPECT_EQ(n, 1000u);
  });
}

TEST(go, arguments_are_moved_and_kept_for_reference_parameters) {
  counted::copies = 0;
  run_on(2, [&]() -> st::task<> {
    const auto by_reference = [](const counted& c, counted&& d, std::string&& s) -> st::task<int> {
      co_await st::yield();
      co_return c.value + d.value + static_cast<int>(s.size());
    };
    auto h = st::go(by_reference, counted(1), counted(2), std::string("three"));
    const int sum = co_await h;
    EXPECT_EQ(sum, 8);
    EXPECT_EQ(counted::copies, 0);

    counted kept(10);
    auto copied = st::go([](counted c) -> st::task<int> { co_return c.value; }, kept);
    EXPECT_EQ(counted::copies, 1);
    kept.value = 99;  // too late: it has its own
    const int got = co_await copied;
    EXPECT_EQ(got, 10);

    auto p = std::make_unique<int>(3);
    const auto take = [](std::unique_ptr<int> q) -> st::task<int> {
      co_await st::yield();
      co_return *q;
    };
    const int moved = co_await st::go(take, std::move(p));
    EXPECT_EQ(moved, 3);
    EXPECT_EQ(p, nullptr);

    int shared = 0;
    co_await st::go(
        [](int& n) -> st::task<> {
          ++n;
          co_return;
        },
        std::ref(shared));
    EXPECT_EQ(shared, 1);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST(go, takes_eight_arguments) {
  run_on(1, [&]() -> st::task<> {
    const auto sum = [](int a, int b, int c, int d, int e, int f, int g, int h) -> st::task<int> {
      co_return a + b + c + d + e + f + g + h;
    };
    const int got = co_await st::go(sum, 1, 2, 3, 4, 5, 6, 7, 8);
    EXPECT_EQ(got, 36);
  });
}

TEST(go, a_callable_that_owns_is_destroyed_before_the_joiner_hears) {
  run_on(2, [&]() -> st::task<> {
    for (int i = 0; i < 300; ++i) {
      auto owner = [c = counted(i)]() -> st::task<> { co_await st::yield(); };
      co_await st::go(std::move(owner));
      EXPECT_EQ(counted::alive, 1);  // the moved-from lambda
      co_await st::go([](counted) -> st::task<> { co_return; }, counted(i));
      EXPECT_EQ(counted::alive, 1);
    }
  });
}

TEST(go, an_argument_that_a_parameter_only_refers_to_is_kept) {
  run_on(2, [&]() -> st::task<> {
    const auto text = [](const std::string& s) -> st::task<std::string> {
      co_await st::yield();
      co_return s;
    };
    auto literal = st::go(text, "a literal that is longer than any small string");
    const std::string a = co_await literal;
    EXPECT_EQ(a, "a literal that is longer than any small string");
    const auto view = [](std::string_view s) -> st::task<std::string> {
      co_await st::yield();
      co_return std::string(s);
    };
    auto string = st::go(view, std::string(100, 'x'));
    const std::string b = co_await string;
    EXPECT_EQ(b, std::string(100, 'x'));
    struct object {
      st::task<std::size_t> size(const std::string& s, std::string_view v) const {
        co_await st::yield();
        co_return s.size() + v.size();
      }
    };
    auto member = st::go(&object::size, object(), "four", std::string(50, 'y'));
    const std::size_t c = co_await member;
    EXPECT_EQ(c, 54u);
    const auto generic = [](auto&& s) -> st::task<std::size_t> {
      co_await st::yield();
      co_return std::string_view(s).size();
    };
    auto any = st::go(generic, std::string(60, 'z'));
    const std::size_t d = co_await any;
    EXPECT_EQ(d, 60u);
    const auto optional = [](int n, int m = 5) -> st::task<int> { co_return n + m; };
    auto defaulted = st::go(optional, 1);
    const int e = co_await defaulted;
    EXPECT_EQ(e, 6);
  });
}

struct not_default {
  explicit not_default(int n) : value(n) {}
  not_default(not_default&&) noexcept = default;
  not_default& operator=(not_default&&) = delete;
  int value;
};

TEST(go, results_of_every_kind) {
  run_on(2, [&]() -> st::task<> {
    int target = 5;
    auto nd = co_await st::go([]() -> st::task<not_default> { co_return not_default(4); });
    EXPECT_EQ(nd.value, 4);
    auto p = co_await st::go([] { return std::make_unique<int>(5); });
    EXPECT_EQ(*p, 5);
    int& r = co_await st::go([&target]() -> st::task<int&> { co_return target; });
    EXPECT_EQ(&r, &target);
    using big = std::array<int, 1000>;
    auto b = co_await st::go([]() -> st::task<big> {
      big values{};
      values.back() = 6;
      co_return values;
    });
    EXPECT_EQ(b.back(), 6);
    auto c = co_await st::go([]() -> st::task<counted> { co_return counted(7); });
    EXPECT_EQ(c.value, 7);
  });
  EXPECT_EQ(counted::alive, 0);
}

st::task<> fail(std::string why) {
  co_await st::yield();
  throw std::runtime_error(why);
}

TEST(go, an_exception_reaches_the_joiner) {
  run_on(2, [&]() -> st::task<> {
    for (int i = 0; i < 100; ++i) {
      auto h = st::go(fail, "boom");
      std::string what;
      try {
        co_await h;
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      EXPECT_EQ(what, "boom");
      what.clear();
      try {
        co_await h;  // again
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      EXPECT_EQ(what, "boom");
    }
    std::string plain;
    try {
      co_await st::go([]() -> int { throw std::logic_error("plain"); });
    } catch (const std::logic_error& e) {
      plain = e.what();
    }
    EXPECT_EQ(plain, "plain");
  });
}

TEST(go, join_of_a_cancelled_goroutine_is_an_error) {
  run_on(2, [&]() -> st::task<> {
    st::chan<int> never(0);
    st::join_handle<> h;
    co_await st::scope([&](st::group& g) -> st::task<> {
      h = g.go([](st::chan<int> c) -> st::task<> { co_await c.recv(); }, never);
      co_await st::yield();
      g.cancel();
    });
    std::string what;
    try {
      co_await h;
    } catch (const st::join_error& e) {
      what = e.what();
    }
    EXPECT_NE(what.find("go_test.cpp:"), std::string::npos) << what;
  });
}

TEST(go, what_goes_wrong_before_it_starts_is_thrown_to_the_caller) {
  EXPECT_THROW(st::go(plain_nothing), st::misuse);  // no runtime
  run_on(1, [&]() -> st::task<> {
    std::function<st::task<int>(int)> none;
    int (*null)(int) = nullptr;
    EXPECT_THROW(st::go(none, 1), st::misuse);
    EXPECT_THROW(st::go(null, 1), st::misuse);
    EXPECT_THROW(static_cast<void>(st::join_handle<>().join()), st::misuse);
    struct angry {
      angry() = default;
      angry(const angry&) { throw std::runtime_error("copy"); }
      angry& operator=(const angry&) = delete;
    };
    const angry a;
    EXPECT_THROW(st::go([](const angry&) {}, a), std::runtime_error);
    EXPECT_THROW(st::go([](angry) -> st::task<> { co_return; }, a), std::runtime_error);
    EXPECT_EQ(st::live_goroutines(), 1u);
    co_return;
  });
}

TEST(go, a_detached_goroutine_goes_on) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(1);
    st::go(
        [](st::sender<int> s) -> st::task<> {
          for (int i = 0; i < 10; ++i) co_await st::yield();
          co_await s.send(1);
        },
        std::move(tx));
    auto h = st::go(twice, 1);
    h.detach();
    auto v = co_await rx.recv();
    EXPECT_TRUE(v);
  });
}

TEST(go, works_from_a_plain_thread) {
  run_on(2, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(0);
    st::outside_work alive;
    std::thread outside([end = std::move(tx), work = std::move(alive)]() mutable {
      for (int i = 0; i < 100; ++i) {
        st::go([](st::sender<int> s, int n) -> st::task<> { co_await s.send(n); }, end, i);
      }
      end = {};
    });
    int sum = 0;
    while (auto v = co_await rx.recv()) sum += *v;
    EXPECT_EQ(sum, 4950);
    outside.join();
  });
}

TEST(go, many_come_and_go) {
  const auto n = static_cast<int>(strait_test::scaled(300'000));
  for (const unsigned workers : {1u, 2u, 4u}) {
    const long sum = run_on(workers, [&]() -> st::task<long> {
      long total = 0;
      std::vector<st::join_handle<int>> handles;
      for (int i = 0; i < n; ++i) {
        handles.push_back(st::go(twice, i));
        if (handles.size() == 1000 || i + 1 == n) {
          for (auto& h : handles) {
            const int v = co_await h;
            total += v;
          }
          handles.clear();
        }
      }
      co_return total;
    });
    EXPECT_EQ(sum, static_cast<long>(n) * (n - 1));
  }
}

// A tree of goroutines, each joining its children: the shape that tires schedulers.
st::task<long> tree(int depth) {
  if (depth == 0) co_return 1;
  auto left = st::go(tree, depth - 1);
  auto right = st::go(tree, depth - 1);
  const long a = co_await left;
  const long b = co_await right;
  co_return a + b;
}

TEST(go, a_tree_of_joins) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    const long leaves = run_on(workers, tree, strait_test::sanitized() ? 12 : 16);
    EXPECT_EQ(leaves, 1L << (strait_test::sanitized() ? 12 : 16));
  }
}

TEST(go, children_of_a_plain_goroutine_are_waited_for_at_the_end_of_run) {
  std::atomic<int> ended = 0;
  run_on(2, [&]() -> st::task<> {
    for (int i = 0; i < 10; ++i) {
      st::go([&ended]() -> st::task<> {
        struct at_end {
          std::atomic<int>& n;
          ~at_end() { ++n; }
        } guard{ended};
        co_await st::sleep(1h);
      });
    }
    co_await settle();
  });
  EXPECT_EQ(ended, 10);
}

TEST(go_death_test, an_exception_in_a_detached_goroutine_ends_the_process) {
  EXPECT_DEATH(
      run_on(2,
             [&]() -> st::task<> {
               st::go(fail, "nobody listens");
               co_await st::sleep(10s);
             }),
      "unhandled exception in the goroutine spawned at .*go_test.cpp:[0-9]+: nobody listens");
}

TEST(go_death_test, a_handle_that_is_dropped_after_the_end_as_well) {
  EXPECT_DEATH(run_on(1,
                      [&]() -> st::task<> {
                        {
                          auto h = st::go(fail, "dropped");
                          co_await settle();
                          EXPECT_TRUE(h.done());
                        }
                        co_await st::sleep(10s);
                      }),
               "go_test.cpp:[0-9]+: dropped");
}

}  // namespace
