// latch: opens at zero, for all who wait then and later.
#include <strait/sync/latch.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;
using strait_test::scaled;
using strait_test::settle;

TEST(latch, opens_when_it_was_counted_down_to_zero) {
  run_on(1, []() -> st::task<> {
    st::latch l(3);
    int through = 0;
    const auto wait = [&]() -> st::task<> {
      co_await l.wait();
      ++through;
    };
    auto a = st::go(wait), b = st::go(wait);
    co_await settle();
    l.count_down(2);
    co_await settle();
    EXPECT_EQ(through, 0);
    EXPECT_FALSE(l.is_open());
    l.count_down();
    co_await a;
    co_await b;
    EXPECT_TRUE(l.is_open());
    co_await l.wait();  // stays open
    l.count_down(0);
    std::string error;
    try {
      l.count_down();
    } catch (const st::misuse& e) {
      error = e.what();
    }
    EXPECT_NE(error.find("latch"), std::string::npos);
    EXPECT_TRUE(l.is_open());
  });
}

TEST(latch, is_a_case_of_select_and_can_be_waited_for_by_a_thread) {
  run_on(2, []() -> st::task<> {
    st::latch shut(1), open(0);
    auto s = co_await st::select{shut.wait(), open.wait()};
    EXPECT_EQ(s.index(), 1u);
    auto t = co_await st::select{shut.wait(), st::otherwise};
    EXPECT_EQ(t.index(), 1u);
    st::outside_work busy;
    std::thread outside([&shut] { st::wait(shut.wait()); });
    shut.count_down();
    outside.join();
  });
}

TEST(latch, a_cancelled_wait_leaves_no_trace) {
  st::sim::run(1, []() -> st::task<> {
    st::latch l(1);
    bool over = false;
    try {
      co_await st::with_timeout(1s, l.wait());
    } catch (const st::timed_out&) {
      over = true;
    }
    EXPECT_TRUE(over);
    l.count_down();
    co_await l.wait();
  });
}

TEST(latch, may_be_destroyed_by_who_waited_for_it) {
  run_on(4, []() -> st::task<> {
    for (std::uint64_t i = 0; i < scaled(2000); ++i) {
      auto l = std::make_unique<st::latch>(2);
      st::latch& shared = *l;
      auto a = st::go([&shared] { shared.count_down(); });
      auto b = st::go([&shared] { shared.count_down(); });
      co_await l->wait();
      l.reset();
      co_await a;
      co_await b;
    }
  });
}

}  // namespace
