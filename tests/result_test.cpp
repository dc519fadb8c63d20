// as_result: what an operation threw, as a value; but never one's own cancellation.
#include <strait/result.hpp>

#include <memory>
#include <stdexcept>
#include <string>

#include "local.hpp"

namespace {

namespace st = strait;
using strait_test::run_on;
using strait_test::settle;

TEST(result, a_value_or_an_exception) {
  run_on(1, [&]() -> st::task<> {
    st::chan<std::unique_ptr<int>> c(1);
    auto sent = co_await st::as_result(c.send(std::make_unique<int>(1)));
    EXPECT_TRUE(sent);
    EXPECT_EQ(sent.error(), nullptr);
    auto got = co_await st::as_result(c.recv());
    EXPECT_TRUE(got.has_value());
    EXPECT_EQ(***got, 1);
    c.close();
    auto p = std::make_unique<int>(2);
    auto failed = co_await st::as_result(c.send(std::move(p)));
    EXPECT_FALSE(failed);
    EXPECT_THROW(failed.value(), st::closed);
    EXPECT_THROW(failed.value(), st::closed);
    EXPECT_EQ(*p, 2);
    auto end = co_await st::as_result(c.recv());  // an end is no error
    EXPECT_TRUE(end);
    EXPECT_TRUE(end->closed());
  });
}

TEST(result, of_tasks_and_handles) {
  run_on(1, [&]() -> st::task<> {
    const auto fail = []() -> st::task<int> {
      co_await st::yield();
      throw std::logic_error("task");
    };
    auto r = co_await st::as_result(fail());
    EXPECT_THROW(r.value(), std::logic_error);
    auto h = st::go(fail);
    auto joined = co_await st::as_result(h);
    EXPECT_THROW(joined.value(), std::logic_error);
    auto timed =
        co_await st::as_result(st::with_timeout(std::chrono::seconds(0), st::chan<int>().recv()));
    EXPECT_THROW(timed.value(), st::timed_out);
  });
}

TEST(result, never_hides_a_cancellation) {
  run_on(1, [&]() -> st::task<> {
    bool hidden = true, reached = false;
    co_await st::scope([&](st::group& g) -> st::task<> {
      g.go([&]() -> st::task<> {
        try {
          auto r = co_await st::as_result(st::chan<int>().recv());
          EXPECT_TRUE(r);
          reached = true;
        } catch (const st::cancelled&) {
          hidden = false;
        }
      });
      co_await settle();
      g.cancel();
    });
    EXPECT_FALSE(hidden);
    EXPECT_FALSE(reached);
  });
}

}  // namespace
