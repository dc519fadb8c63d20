// Contexts: cancellation that goes down, deadlines, causes, values, stop tokens.
#include <strait/context.hpp>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::settle;

std::string why(const std::exception_ptr& e) {
  if (!e) return "no cause";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  }
}

st::task<std::string> cause_of_wait() {
  try {
    co_await st::chan<int>().recv();
  } catch (const st::cancelled& c) {
    co_return why(c.cause());
  }
  co_return "not cancelled";
}

TEST(context, a_source_cancels_what_runs_under_it) {
  run_on(2, [&]() -> st::task<> {
    st::cancel_source source;
    EXPECT_FALSE(source.context().is_cancelled());
    auto h = st::go(
        [](st::cancel_source& s) -> st::task<std::string> {
          auto text = co_await st::with_context(s, cause_of_wait());
          co_return text;
        },
        std::ref(source));
    co_await settle();
    EXPECT_TRUE(source.cancel(std::make_exception_ptr(std::runtime_error("enough"))));
    EXPECT_FALSE(source.cancel());
    const auto text = co_await h;
    EXPECT_EQ(text, "enough");
    EXPECT_EQ(why(source.context().cause()), "enough");
    EXPECT_FALSE(st::context::current().is_cancelled());
  });
}

TEST(context, cancelling_reaches_children_and_grandchildren_and_those_to_come) {
  run_on(4, [&]() -> st::task<> {
    st::cancel_source source;
    std::atomic<int> cancelled = 0;
    struct family {
      static st::task<> member(std::atomic<int>& n, int generations) {
        if (generations > 0) st::go(member, std::ref(n), generations - 1);
        try {
          co_await st::chan<int>().recv();
        } catch (const st::cancelled&) {
          ++n;
          st::go(late, std::ref(n));
          throw;
        }
      }
      static st::task<> late(std::atomic<int>& n) {
        try {
          co_await st::chan<int>().recv();
        } catch (const st::cancelled&) {
          ++n;
          throw;
        }
      }
    };
    auto h = st::go(
        [](st::cancel_source& s, std::atomic<int>& n) -> st::task<> {
          co_await st::with_context(s, family::member(n, 9));
        },
        std::ref(source), std::ref(cancelled));
    co_await settle();
    source.cancel();
    auto r = co_await st::as_result(std::move(h));
    EXPECT_FALSE(r);
    while (cancelled != 20) co_await st::yield();
  });
}

TEST(context, a_sibling_and_the_parent_are_untouched) {
  run_on(1, [&]() -> st::task<> {
    st::cancel_source a, b;
    a.cancel();
    EXPECT_TRUE(a.context().is_cancelled());
    EXPECT_FALSE(b.context().is_cancelled());
    EXPECT_FALSE(st::context::current().is_cancelled());
    co_await st::yield();  // not cancelled
  });
}

TEST(context, cancellation_is_level_triggered) {
  run_on(1, [&]() -> st::task<> {
    st::cancel_source source;
    source.cancel();
    auto h = st::go(
        [](st::cancel_source& s) -> st::task<int> {
          const auto inside = []() -> st::task<int> {
            int thrown = 0;
            st::chan<int> ready(4);
            for (int i = 0; i < 5; ++i) {
              try {
                co_await ready.send(i);  // could be done at once, and is not
              } catch (const st::cancelled&) {
                ++thrown;
              }
            }
            EXPECT_EQ(ready.len(), 0u);
            co_return thrown;
          };
          const int n = co_await st::with_context(s, inside());
          co_return n;
        },
        std::ref(source));
    const int thrown = co_await h;
    EXPECT_EQ(thrown, 5);
  });
}

TEST(context, destroying_a_source_cancels) {
  run_on(1, [&]() -> st::task<> {
    std::optional<st::context> kept;
    {
      st::cancel_source source;
      kept = source.context();
      EXPECT_FALSE(kept->is_cancelled());
    }
    EXPECT_TRUE(kept->is_cancelled());
    co_return;
  });
}

TEST(context, done_is_an_operation) {
  run_on(2, [&]() -> st::task<> {
    st::cancel_source source;
    const auto ctx = source.context();
    auto h = st::go(
        [](st::context c) -> st::task<bool> {
          co_await c.done();
          co_return c.is_cancelled();
        },
        ctx);
    co_await settle();
    EXPECT_FALSE(h.done());
    source.cancel();
    const bool cancelled = co_await h;
    EXPECT_TRUE(cancelled);
    co_await ctx.done();  // at once
    st::chan<int> never(0);
    auto s = co_await st::select{never.recv(), ctx.done()};
    EXPECT_EQ(s.index(), 1u);
  });
}

TEST(context, a_stop_token_is_stopped_with_it) {
  run_on(2, [&]() -> st::task<> {
    st::cancel_source source;
    const std::stop_token token = source.context().stop_token();
    EXPECT_FALSE(token.stop_requested());
    std::atomic<bool> called = false;
    std::stop_callback callback(token, [&] { called = true; });
    source.cancel();
    EXPECT_TRUE(token.stop_requested());
    EXPECT_TRUE(called);
    EXPECT_TRUE(source.context().stop_token().stop_requested());
    co_return;
  });
}

TEST(context, a_stop_token_cancels_a_source) {
  run_on(2, [&]() -> st::task<> {
    std::stop_source stop;
    st::cancel_source source(stop.get_token());
    st::outside_work alive;
    std::thread outside([stop, work = std::move(alive)]() mutable { stop.request_stop(); });
    bool cancelled = false;
    try {
      co_await st::with_context(source, st::chan<int>().recv());
    } catch (const st::cancelled&) {
      cancelled = true;
    }
    EXPECT_TRUE(cancelled);
    outside.join();
    st::cancel_source late(stop.get_token());
    EXPECT_TRUE(late.context().is_cancelled());
  });
}

TEST(context, callbacks_run_once_even_when_it_is_late) {
  run_on(1, [&]() -> st::task<> {
    st::cancel_source source;
    int called = 0;
    source.context().on_cancel([&] { ++called; });
    source.context().on_cancel([&] { ++called; });
    EXPECT_EQ(called, 0);
    source.cancel();
    source.cancel();
    EXPECT_EQ(called, 2);
    source.context().on_cancel([&] { ++called; });
    EXPECT_EQ(called, 3);
    co_return;
  });
}

TEST(context, a_deadline_is_inherited_and_never_extended) {
  st::sim::run(1, [&]() -> st::task<> {
    EXPECT_FALSE(st::context::current().deadline());
    const auto start = st::now();
    co_await st::with_deadline(start + 10s, [](st::clock::time_point begin) -> st::task<> {
      EXPECT_EQ(st::context::current().deadline(), begin + 10s);
      co_await st::with_timeout(1h, [](st::clock::time_point b) -> st::task<> {
        EXPECT_EQ(st::context::current().deadline(), b + 10s);
        auto h = st::go([] { return *st::context::current().deadline(); });
        const auto inherited = co_await h;
        EXPECT_EQ(inherited, b + 10s);
      }(begin));
      co_await st::with_timeout(2s, [](st::clock::time_point b) -> st::task<> {
        EXPECT_EQ(st::context::current().deadline(), b + 2s);
        co_return;
      }(begin));
    }(start));
    EXPECT_EQ(st::now(), start);
  });
}

TEST(context, current_needs_a_goroutine) {
  EXPECT_THROW(static_cast<void>(st::context::current()), st::misuse);
}

TEST(context, a_storm_of_cancellations_wakes_each_wait_once) {
  const auto rounds = static_cast<int>(strait_test::scaled(2000));
  for (const unsigned workers : {2u, 4u}) {
    run_on(workers, [&]() -> st::task<> {
      st::chan<int> c(0);
      for (int i = 0; i < rounds; ++i) {
        co_await st::scope([&](st::group& g) -> st::task<> {
          for (int k = 0; k < 3; ++k) {
            g.go([](st::chan<int> from) -> st::task<> { co_await from.recv(); }, c);
            g.go(
                [](st::chan<int> from) -> st::task<> {
                  co_await st::select{from.recv(), st::chan<int>().recv(), st::after(1h)};
                },
                c);
            g.go([]() -> st::task<> { co_await st::chan<int>().recv(); });
            g.go([]() -> st::task<> { co_await st::sleep(1h); });
          }
          for (int k = 0; k < i % 4; ++k) {
            if (c.try_send(k) != st::send_result::sent) co_await st::yield();
          }
          g.cancel();
        });
        EXPECT_EQ(c.try_send(0), st::send_result::full);  // nobody is left in the queue
      }
    });
  }
}

}  // namespace
