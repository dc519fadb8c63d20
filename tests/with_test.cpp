// with_timeout, with_deadline, with_context, with_value, shield.
#include <strait/with.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::settle;

TEST(with, a_timeout_ends_the_wait_and_nothing_else) {
  st::sim::run(1, [&]() -> st::task<> {
    const auto start = st::now();
    st::chan<int> c(0);
    bool timed_out = false;
    try {
      co_await st::with_timeout(250ms, c.recv());
    } catch (const st::timed_out&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    EXPECT_EQ(st::now() - start, 250ms);
    EXPECT_FALSE(st::context::current().is_cancelled());
    co_await st::sleep(1s);  // goes on
    EXPECT_EQ(st::now() - start, 1250ms);
  });
}

TEST(with, a_result_in_time_is_passed_on) {
  st::sim::run(1, [&]() -> st::task<> {
    st::chan<std::unique_ptr<int>> c(1);
    co_await st::with_timeout(1s, c.send(std::make_unique<int>(4)));
    auto v = co_await st::with_timeout(1s, c.recv());
    EXPECT_EQ(**v, 4);
    int target = 0;
    const auto reference = [](int& n) -> st::task<int&> {
      co_await st::sleep(1ms);
      co_return n;
    };
    int& same = co_await st::with_timeout(1s, reference(target));
    EXPECT_EQ(&same, &target);
    std::string what;
    try {
      co_await st::with_timeout(1s, []() -> st::task<> {
        co_await st::sleep(1ms);
        throw std::runtime_error("own");
      }());
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(what, "own");
  });
}

TEST(with, no_time_at_all_takes_nothing) {
  run_on(1, [&]() -> st::task<> {
    st::chan<int> c(1);
    co_await c.send(1);
    for (const auto d : {0s, -1s}) {
      bool timed_out = false;
      try {
        co_await st::with_timeout(d, c.recv());
      } catch (const st::timed_out&) {
        timed_out = true;
      }
      EXPECT_TRUE(timed_out);
    }
    EXPECT_EQ(c.len(), 1u);
  });
}

TEST(with, a_huge_timeout_is_never) {
  run_on(1, [&]() -> st::task<> {
    st::chan<int> c(1);
    co_await c.send(1);
    auto v = co_await st::with_timeout(std::chrono::nanoseconds::max(), c.recv());
    EXPECT_TRUE(v);
    co_await c.send(2);
    auto w = co_await st::with_timeout(std::chrono::hours(2'000'000), c.recv());
    EXPECT_TRUE(w);
  });
}

TEST(with, of_nested_timeouts_the_one_that_ran_out_throws) {
  st::sim::run(1, [&]() -> st::task<> {
    std::vector<std::string> log;
    const auto start = st::now();
    const auto inner = [](std::vector<std::string>& l) -> st::task<> {
      try {
        co_await st::with_timeout(10s, st::sleep(1h));
      } catch (const st::timed_out&) {
        l.push_back("inner");
      }
      co_await st::sleep(1h);
    };
    try {
      co_await st::with_timeout(2s, inner(log));
    } catch (const st::timed_out&) {
      log.push_back("outer");
    }
    EXPECT_EQ(log, (std::vector<std::string>{"outer"}));
    EXPECT_EQ(st::now() - start, 2s);
    log.clear();
    try {
      co_await st::with_timeout(20s, inner(log));
    } catch (const st::timed_out&) {
      log.push_back("outer");
    }
    EXPECT_EQ(log, (std::vector<std::string>{"inner", "outer"}));
    EXPECT_EQ(st::now() - start, 22s);
  });
}

TEST(with, a_timeout_reaches_goroutines_started_inside) {
  st::sim::run(1, [&]() -> st::task<> {
    st::join_handle<> h;
    bool timed_out = false;
    try {
      co_await st::with_timeout(1s, [](st::join_handle<>& out) -> st::task<> {
        out = st::go([]() -> st::task<> { co_await st::sleep(1h); });
        co_await st::sleep(1h);
      }(h));
    } catch (const st::timed_out&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    bool join_failed = false;
    try {
      co_await h;
    } catch (const st::join_error&) {
      join_failed = true;
    }
    EXPECT_TRUE(join_failed);
  });
}

TEST(with, ones_own_cancellation_is_no_timeout) {
  run_on(1, [&]() -> st::task<> {
    bool cancelled = false;
    co_await st::scope([&](st::group& g) -> st::task<> {
      g.go(
          [](bool& c) -> st::task<> {
            try {
              co_await st::with_timeout(1h, st::chan<int>().recv());
            } catch (const st::cancelled&) {
              c = true;
              throw;
            }
          },
          std::ref(cancelled));
      co_await settle();
      g.cancel();
    });
    EXPECT_TRUE(cancelled);
  });
}

inline constexpr st::context_key<int> level;
inline constexpr st::context_key<std::string> name;

st::task<int> nested_level() { co_return *st::context::current().get(level); }

TEST(with, values_are_found_by_key_in_all_that_runs_inside) {
  run_on(2, [&]() -> st::task<> {
    EXPECT_EQ(st::context::current().get(level), nullptr);
    const auto inside = []() -> st::task<int> {
      const auto ctx = st::context::current();
      EXPECT_EQ(ctx.get(name), nullptr);
      const int here = *ctx.get(level);
      auto child = st::go([] { return *st::context::current().get(level); });
      const int there = co_await child;
      const auto nested = []() -> st::task<int> {
        const auto c = st::context::current();
        EXPECT_EQ(*c.get(name), "deep");
        co_return *c.get(level);
      };
      const int same = co_await st::with_value(name, std::string("deep"), nested());
      const int other = co_await st::with_value(level, 5, nested_level());
      co_return here * 1000 + there * 100 + same * 10 + other;
    };
    const int got = co_await st::with_value(level, 3, inside());
    EXPECT_EQ(got, 3335);
    EXPECT_EQ(st::context::current().get(level), nullptr);
  });
}

TEST(with, shield_finishes_what_a_cancellation_would_end) {
  st::sim::run(1, [&]() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(0);
    bool cleaned = false, cancelled_after = false;
    auto other = st::go(
        [](st::sender<int> s) -> st::task<> {
          co_await st::sleep(10s);
          co_await s.send(1);
        },
        std::move(tx));
    co_await st::scope([&](st::group& g) -> st::task<> {
      g.go(
          [&](st::receiver<int> r) -> st::task<> {
            bool ended = false;
            try {
              co_await st::sleep(1h);
            } catch (const st::cancelled&) {
              ended = true;
            }
            if (ended) {
              auto v = co_await st::shield(r.recv());
              cleaned = v.has_value();
              try {
                co_await r.recv();
              } catch (const st::cancelled&) {
                cancelled_after = true;
              }
            }
          },
          rx);
      co_await st::sleep(1s);
      g.cancel();
    });
    EXPECT_TRUE(cleaned);
    EXPECT_TRUE(cancelled_after);
    co_await other;
  });
}

// Clean-up that must not take for ever is the common case.
TEST(with, a_timeout_inside_a_shield_counts) {
  st::sim::run(1, [&]() -> st::task<> {
    bool timed_out = false, cleaned = false;
    const auto start = st::now();
    co_await st::scope([&](st::group& g) -> st::task<> {
      g.go([&]() -> st::task<> {
        bool ended = false;
        try {
          co_await st::sleep(1h);
        } catch (const st::cancelled&) {
          ended = true;
        }
        EXPECT_TRUE(ended);
        try {
          co_await st::shield(st::with_timeout(5s, st::chan<int>().recv()));
        } catch (const st::timed_out&) {
          timed_out = true;
        }
        co_await st::shield(st::with_timeout(5s, st::sleep(1s)));
        cleaned = true;
      });
      co_await st::sleep(1s);
      g.cancel();
    });
    EXPECT_TRUE(timed_out);
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(st::now() - start, 7s);
  });
}

TEST(with, a_scope_inside_a_shield_does_its_work) {
  st::sim::run(1, [&]() -> st::task<> {
    int worked = 0;
    co_await st::scope([&](st::group& g) -> st::task<> {
      g.go([&]() -> st::task<> {
        bool ended = false;
        try {
          co_await st::sleep(1h);
        } catch (const st::cancelled&) {
          ended = true;
        }
        EXPECT_TRUE(ended);
        co_await st::shield(st::scope([&](st::group& inner) -> st::task<> {
          for (int i = 0; i < 3; ++i) {
            inner.go([&]() -> st::task<> {
              co_await st::sleep(1s);
              ++worked;
            });
          }
          co_await st::sleep(1s);
          ++worked;
        }));
      });
      co_await st::sleep(1s);
      g.cancel();
    });
    EXPECT_EQ(worked, 4);
  });
}

}  // namespace
