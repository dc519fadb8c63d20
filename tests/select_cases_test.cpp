// select, case by case: what each kind of operation does in it, and when several race.
#include <strait/select.hpp>

#include <memory>
#include <string>
#include <vector>

#include <strait/sim.hpp>

#include "local.hpp"

namespace {

namespace st = strait;
using namespace std::chrono_literals;
using strait_test::run_on;

TEST(select_cases, waits_for_the_first_that_becomes_ready) {
  run_on(2, []() -> st::task<> {
    for (int i = 0; i < 300; ++i) {
      st::chan<int> a(0), b(0), c(0);
      auto h = st::go([](st::chan<int> to, int n) -> st::task<> { co_await to.send(n); },
                      i % 2 != 0 ? a : b, i);
      auto s = co_await st::select{a.recv(), b.recv(), c.send(1)};
      EXPECT_EQ(s.index(), i % 2 != 0 ? 0u : 1u);
      EXPECT_EQ(i % 2 != 0 ? *s.get<0>() : *s.get<1>(), i);
      co_await h;
      EXPECT_EQ(c.try_recv().has_value(), false);  // the others have had no effect
    }
  });
}

TEST(select_cases, a_waiting_send_case_hands_its_value_over) {
  run_on(2, []() -> st::task<> {
    for (int i = 0; i < 300; ++i) {
      st::chan<std::unique_ptr<int>> a(0), b(0);
      auto p = std::make_unique<int>(1), q = std::make_unique<int>(2);
      auto h = st::go(
          [](st::chan<std::unique_ptr<int>> from) -> st::task<int> {
            auto v = co_await from.recv();
            co_return **v;
          },
          i % 2 != 0 ? a : b);
      auto s = co_await st::select{a.send(std::move(p)), b.send(std::move(q))};
      const int got = co_await h;
      EXPECT_EQ(s.index(), i % 2 != 0 ? 0u : 1u);
      EXPECT_EQ(got, i % 2 != 0 ? 1 : 2);
      EXPECT_EQ(p == nullptr, i % 2 != 0);
      EXPECT_EQ(q == nullptr, i % 2 == 0);
    }
  });
}

TEST(select_cases, a_waiting_case_that_fails_says_which) {
  run_on(2, []() -> st::task<> {
    for (int i = 0; i < 100; ++i) {
      st::chan<int> a(0), b(0);
      auto h = st::go(
          [](st::chan<int> c) -> st::task<> {
            co_await st::yield();
            c.close();
          },
          b);
      std::size_t failed_case = 99;
      try {
        co_await st::select{a.recv(), a.send(1), b.send(1)};
      } catch (const st::closed& e) {
        failed_case = e.case_index();
      }
      EXPECT_EQ(failed_case, 2u);
      co_await h;
      auto s = co_await st::select{b.recv(), a.recv()};
      EXPECT_EQ(s.index(), 0u);
    }
  });
}

TEST(select_cases, the_same_channel_several_times_and_in_both_directions) {
  run_on(2, []() -> st::task<> {
    st::chan<int> c(0);
    auto h = st::go(
        [](st::chan<int> to) -> st::task<> {
          for (int i = 0; i < 100; ++i) co_await to.send(i);
        },
        c);
    for (int i = 0; i < 100; ++i) {
      auto s = co_await st::select{c.recv(), c.recv(), c.recv()};
      const int v = s.index() == 0 ? *s.get<0>() : s.index() == 1 ? *s.get<1>() : *s.get<2>();
      EXPECT_EQ(v, i);
    }
    co_await h;
    EXPECT_EQ(c.try_send(1), st::send_result::full);  // no node of ours is left
    auto s = co_await st::select{c.recv(), c.send(1), st::otherwise};
    EXPECT_EQ(s.index(), 2u);  // it never meets itself
  });
}

TEST(select_cases, deliveries_joins_contexts_and_timers_are_cases) {
  st::sim::run(1, []() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(1);
    co_await tx.send(1);
    auto s = co_await st::select{rx.take(), st::after(1s)};
    EXPECT_EQ(s.index(), 0u);
    EXPECT_EQ(*s.get<0>(), 1);
    s.get<0>().ack();
    EXPECT_FALSE(rx.try_recv());
    auto h = st::go([]() -> st::task<int> {
      co_await st::sleep(2s);
      co_return 5;
    });
    auto t = co_await st::select{rx.take(), h, st::after(1s)};
    EXPECT_EQ(t.index(), 2u);
    auto u = co_await st::select{rx.take(), h, st::after(10s)};
    EXPECT_EQ(u.index(), 1u);
    EXPECT_EQ(u.get<1>(), 5);
  });
}

TEST(select_cases, a_delivery_that_is_not_looked_at_goes_back) {
  run_on(1, []() -> st::task<> {
    auto [tx, rx] = st::make_chan<int>(1);
    co_await tx.send(1);
    co_await st::select{rx.take()};
    auto d = co_await rx.take();
    EXPECT_EQ(d.attempt(), 2u);
    d.ack();
  });
}

TEST(select_cases, handlers_get_the_result) {
  run_on(1, []() -> st::task<> {
    st::chan<int> a(1), b(1);
    int got = 0, sent = 0;
    co_await a.send(3);
    const auto on_value = [&got](st::received<int> v) { got = *v; };
    const auto on_sent = [&sent] { ++sent; };
    auto s = co_await st::ordered_select{st::on(a.recv(), on_value), st::on(b.send(1), on_sent)};
    EXPECT_EQ(s.index(), 0u);
    auto t = co_await st::ordered_select{st::on(a.recv(), on_value), st::on(b.send(1), on_sent)};
    EXPECT_EQ(t.index(), 1u);
    EXPECT_EQ(got, 3);
    EXPECT_EQ(sent, 1);
  });
}

TEST(select_cases, a_list_with_sends_an_otherwise_and_a_failing_case) {
  run_on(1, []() -> st::task<> {
    st::chan<std::unique_ptr<int>> c(1);
    {
      st::select_list list;
      auto p = std::make_unique<int>(4);
      auto& sends = list.add(c.send(std::move(p)));
      const std::size_t none = list.add(st::otherwise);
      EXPECT_EQ(none, 1u);
      const std::size_t winner = co_await list;
      EXPECT_EQ(winner, sends.index());
      sends.result();
    }
    {
      st::select_list list;
      list.add(c.send(std::make_unique<int>(5)));
      const std::size_t none = list.add(st::otherwise);
      const std::size_t winner = co_await list;
      EXPECT_EQ(winner, none);
    }
    c.close();
    {
      st::select_list list;
      list.add(st::chan<int>().recv());
      auto& sends = list.add(c.send(std::make_unique<int>(6)));
      const std::size_t winner = co_await list;
      EXPECT_EQ(winner, 1u);
      std::size_t failed_case = 99;
      try {
        sends.result();
      } catch (const st::closed& e) {
        failed_case = e.case_index();
      }
      EXPECT_EQ(failed_case, 1u);
    }
  });
}

TEST(select_cases, timeouts_that_win_now_and_then_lose_nothing) {
  const auto n = static_cast<int>(strait_test::scaled(30'000));
  for (const std::size_t capacity : {0u, 4u}) {
    run_on(2, [&]() -> st::task<> {
      auto [tx1, rx1] = st::make_chan<int>(capacity);
      auto [tx2, rx2] = st::make_chan<int>(capacity);
      const auto feed = [](st::sender<int> s, int count) -> st::task<> {
        for (int i = 0; i < count; ++i) {
          if (i % 64 == 0) co_await st::sleep(20us);
          co_await s.send(i);
        }
      };
      auto f = st::go(feed, std::move(tx1), n);
      auto g = st::go(feed, std::move(tx2), n);
      int next1 = 0, next2 = 0, open = 2, timeouts = 0;
      while (open > 0) {
        auto s = co_await st::select{rx1.recv(), rx2.recv(), st::after(10us)};
        if (s.index() == 2) {
          ++timeouts;
          continue;
        }
        auto& v = s.index() == 0 ? s.get<0>() : s.get<1>();
        int& next = s.index() == 0 ? next1 : next2;
        if (v) {
          EXPECT_EQ(*v, next++);
        } else {
          (s.index() == 0 ? rx1 : rx2) = {};
          --open;
        }
      }
      EXPECT_EQ(next1, n);
      EXPECT_EQ(next2, n);
      EXPECT_GT(timeouts, 0);
      co_await f;
      co_await g;
    });
  }
}

}  // namespace
